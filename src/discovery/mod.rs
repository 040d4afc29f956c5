//! Which groups, shards and nodes there are: from the configuration, from a seed node, from AWS.
