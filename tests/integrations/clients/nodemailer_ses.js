const fs = require("fs");
const nodemailer = require("nodemailer");
const { SESv2Client, SendEmailCommand } = require("@aws-sdk/client-sesv2");

const sesClient = new SESv2Client({
  endpoint: "https://relay.example.com:2580",
  region: "eu-west-1",
  credentials: { accessKeyId: "USER", secretAccessKey: "SECRET" },
});
const relay = nodemailer.createTransport({ SES: { sesClient, SendEmailCommand } });

relay
  .sendMail({
    from: "Shop <shop@example.com>",
    to: "you@there.example",
    bcc: "bcc@there.example",
    subject: fs.readFileSync("subject.txt", "utf8"),
    text: fs.readFileSync("text.txt", "utf8"),
    html: fs.readFileSync("page.html", "utf8"),
    attachments: [{ path: "invoice.bin" }],
    ses: { EmailTags: [{ Name: "order", Value: "12" }] },
  })
  .then(() =>
    sesClient.send(
      new SendEmailCommand({
        FromEmailAddress: "a@other.example",
        Destination: { ToAddresses: ["you@there.example"] },
        Content: { Simple: { Subject: { Data: "s" }, Body: { Text: { Data: "t" } } } },
      }),
    ),
  )
  .catch((error) => console.log(error.name, error.$metadata?.attempts, error.message));
