"""Any three sets of labelled images, real, synthetic and train, to figures and pictures."""
