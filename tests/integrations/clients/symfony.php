<?php
require '/usr/share/php/Symfony/Component/Mailer/autoload.php';

use Symfony\Component\Mailer\Mailer;
use Symfony\Component\Mailer\Transport;
use Symfony\Component\Mime\Email;

$transport = Transport::fromDsn('smtp://USER:SECRET@relay.example.com:587');
$mailer = new Mailer($transport);
$mailer->send((new Email())
    ->from('Shop <shop@example.com>')
    ->to('you@there.example')
    ->subject(file_get_contents('subject.txt'))
    ->text(file_get_contents('text.txt'))
    ->html(file_get_contents('page.html'))
    ->attachFromPath('invoice.bin'));
