"""What every picture and page shares: style, sheets and films of images, the HTML page."""
