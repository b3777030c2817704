"""Files of networks: checkpoints and foreign ones, models, features and labels by name."""
