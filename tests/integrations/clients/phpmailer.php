<?php
require '/usr/share/php/libphp-phpmailer/autoload.php';

$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = 'relay.example.com';
$mail->Port = 587;
$mail->SMTPSecure = 'tls';   // STARTTLS
$mail->SMTPAuth = true;
$mail->Username = 'USER';
$mail->Password = 'SECRET';
$mail->SMTPOptions = ['ssl' => ['cafile' => '/etc/ssl/relay.crt']];
$mail->SMTPKeepAlive = true;
$mail->CharSet = 'UTF-8';
$mail->setFrom('shop@example.com', 'Shop');
$mail->addAddress('you@there.example');
$mail->Subject = file_get_contents('subject.txt');
$mail->isHTML();
$mail->Body = file_get_contents('page.html');
$mail->AltBody = file_get_contents('text.txt');
$mail->addAttachment('invoice.bin');
foreach (range(1, 3) as $_) {
    $mail->send();
}
$mail->smtpClose();
