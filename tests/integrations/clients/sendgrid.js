const fs = require("fs");
const sendgrid = require("@sendgrid/mail");

sendgrid.setApiKey("USER.SECRET");
sendgrid.client.setDefaultRequest("baseUrl", "https://relay.example.com:2580/");

const letter = {
  from: { email: "shop@example.com", name: "Shop" },
  subject: fs.readFileSync("subject.txt", "utf8"),
  text: fs.readFileSync("text.txt", "utf8"),
  html: fs.readFileSync("page.html", "utf8"),
  attachments: [
    { filename: "invoice.bin", content: fs.readFileSync("invoice.bin").toString("base64") },
  ],
};

async function main() {
  const [answer] = await sendgrid.send({ ...letter, to: "you@there.example" });
  console.log(answer.statusCode, answer.headers["x-message-id"]);
  const readers = ["1-you@there.example", "2-you@there.example"];
  await sendgrid.sendMultiple({
    ...letter,
    to: readers,
    categories: ["news"],
    customArgs: { order: "4711" },
    trackingSettings: { clickTracking: { enable: false } },
  });
  await sendgrid.send({ ...letter, to: "you@there.example", templateId: "d-1" });
}

main().catch((error) => {
  console.log(error.code, JSON.stringify(error.response.body.errors));
});
