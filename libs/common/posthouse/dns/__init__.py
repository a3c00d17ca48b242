"""Questions to DNS, asked as a receiver of mail asks them."""
