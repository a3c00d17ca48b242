const nodemailer = require("nodemailer");
const fs = require("fs");

const relay = nodemailer.createTransport({
  host: "relay.example.com",
  port: 587,
  requireTLS: true,
  auth: { user: "USER", pass: "SECRET" },
  tls: { ca: fs.readFileSync("/etc/ssl/relay.crt") },
  pool: true,
});

async function main() {
  const letter = {
    from: "Shop <shop@example.com>",
    to: "you@there.example",
    subject: fs.readFileSync("subject.txt", "utf8"),
    text: fs.readFileSync("text.txt", "utf8"),
    html: fs.readFileSync("page.html", "utf8"),
    attachments: [{ path: "invoice.bin" }],
  };
  await Promise.all(Array.from({ length: 20 }, () => relay.sendMail(letter)));
  relay.close();
}

main();
