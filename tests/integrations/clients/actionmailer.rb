require "action_mailer"

ActionMailer::Base.delivery_method = :smtp
ActionMailer::Base.smtp_settings = {
  address: "relay.example.com",
  port: 587,
  user_name: "USER",
  password: "SECRET",
  authentication: :plain,
  enable_starttls: true,
  ca_file: "/etc/ssl/relay.crt"
}

class Letters < ActionMailer::Base
  default from: "Shop <shop@example.com>"

  def order
    attachments["invoice.bin"] = File.binread("invoice.bin")
    mail(to: "you@there.example", subject: File.read("subject.txt")) do |format|
      format.text { render plain: File.read("text.txt") }
      format.html { render html: File.read("page.html").html_safe }
    end
  end
end

letter = Letters.order.deliver_now
File.binwrite("sent.eml", letter.encoded)
