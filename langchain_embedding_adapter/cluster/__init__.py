"""What all work that is spread over Ray shares."""
