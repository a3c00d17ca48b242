<?php
$headers = [
    'From' => 'Shop <shop@example.com>',
    'MIME-Version' => '1.0',
    'Content-Type' => 'text/plain; charset=UTF-8',
    'Content-Transfer-Encoding' => '8bit',
];
$subject = '=?UTF-8?B?' . base64_encode(file_get_contents('subject.txt')) . '?=';
exit(mail('you@there.example', $subject, file_get_contents('text.txt'), $headers) ? 0 : 1);
