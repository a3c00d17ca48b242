"""The server side of SMTP without sockets: octets in, replies and events out."""
