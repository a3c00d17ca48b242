"""Who a client is: users and their secrets, however they are proven."""
