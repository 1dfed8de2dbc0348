"""The downstream classifier: its network, augmentation, training, and the arms of the experiment."""
