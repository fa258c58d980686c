"""What all panels share: messages to and from the page, stills, scripts."""
