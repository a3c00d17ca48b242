import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import javax.mail.Message;
import javax.mail.Session;
import javax.mail.Transport;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;

public class Send {
    public static void main(String[] arguments) throws Exception {
        Properties relay = new Properties();
        relay.put("mail.smtp.host", "relay.example.com");
        relay.put("mail.smtp.port", "587");
        relay.put("mail.smtp.auth", "true");
        relay.put("mail.smtp.starttls.enable", "true");
        relay.put("mail.smtp.starttls.required", "true");
        relay.put("mail.smtp.ssl.checkserveridentity", "true");
        relay.put("mail.smtp.timeout", "60000");

        MimeMessage letter = new MimeMessage(Session.getInstance(relay));
        letter.setFrom(new InternetAddress("Shop <shop@example.com>"));
        letter.setRecipients(Message.RecipientType.TO, "you@there.example");
        letter.setSubject(Files.readString(Path.of("subject.txt")), "UTF-8");
        MimeBodyPart text = new MimeBodyPart();
        text.setText(Files.readString(Path.of("text.txt")), "UTF-8");
        MimeBodyPart invoice = new MimeBodyPart();
        invoice.attachFile("invoice.bin");
        letter.setContent(new MimeMultipart(text, invoice));
        Transport.send(letter, "USER", "SECRET");
    }
}
