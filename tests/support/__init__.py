"""What the tests stand on: real servers, independent verifiers, and the product as a user starts it."""
