//! The settings: assembled from the modules' own, read from file, environment and flags.
