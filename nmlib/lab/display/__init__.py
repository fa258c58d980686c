"""What all rooms draw with: the base of displays, colours and markers, tables, words."""
