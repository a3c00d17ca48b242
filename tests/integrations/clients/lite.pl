use strict;
use warnings;
use MIME::Lite;

open my $file, '<:raw', 'text.txt' or die $!;
my $letter = MIME::Lite->new(
    From => 'Shop <shop@example.com>',
    To => 'you@there.example',
    Subject => 'Your order',
    Type => 'text/plain; charset=UTF-8',
    Data => do { local $/; <$file> },
);
$letter->send(
    'smtp', 'relay.example.com',
    Port => 2525,
    AuthUser => 'USER',
    AuthPass => 'SECRET',
);
