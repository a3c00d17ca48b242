use strict;
use warnings;
use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::SMTP;
use Email::Simple;

my $relay = Email::Sender::Transport::SMTP->new({
    host => 'relay.example.com',
    port => 587,
    ssl => 'starttls',
    sasl_username => 'USER',
    sasl_password => 'SECRET',
    ssl_options => { SSL_ca_file => '/etc/ssl/relay.crt' },
});

open my $file, '<:raw', 'letter.eml' or die $!;
my $letter = Email::Simple->new(do { local $/; <$file> });
sendmail($letter, { transport => $relay, from => 'shop@example.com', to => 'you@there.example' });
