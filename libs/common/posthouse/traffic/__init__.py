"""Reports of what became of mail: what is counted, what is asked, and what is answered."""
