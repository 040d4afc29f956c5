//! Every feature, from the outside: one file per feature.
