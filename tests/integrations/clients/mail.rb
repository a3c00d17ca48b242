require "mail"

Mail.defaults do
  delivery_method :smtp,
                  address: "relay.example.com",
                  port: 587,
                  user_name: "USER",
                  password: "SECRET",
                  authentication: :plain,
                  enable_starttls: true,
                  ca_file: "/etc/ssl/relay.crt"
end

letter = Mail.new do
  from "Shop <shop@example.com>"
  to "you@there.example"
  subject File.read("subject.txt")
  text_part do
    content_type "text/plain; charset=UTF-8"
    body File.read("text.txt")
  end
  html_part do
    content_type "text/html; charset=UTF-8"
    body File.read("page.html")
  end
  add_file "invoice.bin"
end
letter.deliver!
File.binwrite("sent.eml", letter.encoded)
