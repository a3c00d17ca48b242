import fs from "fs";
import { SMTPClient } from "emailjs";

const relay = new SMTPClient({
  host: "relay.example.com",
  port: 587,
  tls: { ca: fs.readFileSync("/etc/ssl/relay.crt") },
  user: "USER",
  password: "SECRET",
});

await relay.sendAsync({
  from: "Shop <shop@example.com>",
  to: "you@there.example",
  subject: fs.readFileSync("subject.txt", "utf8"),
  text: fs.readFileSync("text.txt", "utf8"),
});
