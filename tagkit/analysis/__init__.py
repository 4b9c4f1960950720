"""What the networks hear: geometry of stages, feature maps, sonification, filter spectra, comparison."""
