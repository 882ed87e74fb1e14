"""What the models that look at pictures share: what is wished of them, what they see, tags and text."""
