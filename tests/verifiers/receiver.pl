# Judges messages as a receiver does, with Mail::DKIM and Mail::SPF.
#
#   perl receiver.pl NAMESERVER PORT < list
#
# A line of the list: file, address of the client, its HELO and its envelope sender, between tabs.
# For each it prints a line of JSON: the result of SPF, and of each signature in their order.

use strict;
use warnings;
use JSON::PP;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Mail::SPF;
use Net::DNS::Resolver;

my ($nameserver, $port) = @ARGV;
my $resolver = Net::DNS::Resolver->new(nameservers => [$nameserver], port => $port);
Mail::DKIM::DNS::resolver($resolver);
my $spf = Mail::SPF::Server->new(dns_resolver => $resolver);

while (my $line = <STDIN>) {
    chomp $line;
    my ($file, $address, $helo, $sender) = split /\t/, $line;
    open my $message, '<:raw', $file or die "$file: $!";
    my $dkim = Mail::DKIM::Verifier->new();
    $dkim->PRINT(do { local $/; <$message> });
    $dkim->CLOSE();
    my $request = Mail::SPF::Request->new(
        scope => 'mfrom', identity => $sender, ip_address => $address, helo_identity => $helo,
    );
    print encode_json({
        spf => $spf->process($request)->code,
        dkim => [map { $_->result_detail } $dkim->signatures],
    }), "\n";
}
