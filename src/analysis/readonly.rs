//! Which commands a replica executes for its own clients: those that the servers flag `readonly`.
//!
//! Everything else that a replica counts may have come by replication, without any mark (PUBLISH, MULTI, EXEC, ping).

/// Whether the servers flag `command` (upper case, containers `OBJECT|FREQ`) `readonly`.
pub fn is_read_only(command: &str) -> bool {
    // Before 7.0 a container's subcommands are counted under the container's name.
    READ_ONLY.binary_search(&command).is_ok()
}

/// Sorted. MEMORY, OBJECT and XINFO stand for their subcommands on servers before 7.0.
const READ_ONLY: &[&str] = &[
    "BITCOUNT",
    "BITFIELD_RO",
    "BITPOS",
    "DBSIZE",
    "DIGEST",
    "DUMP",
    "EVALSHA_RO",
    "EVAL_RO",
    "EXISTS",
    "EXPIRETIME",
    "FCALL_RO",
    "GEODIST",
    "GEOHASH",
    "GEOPOS",
    "GEORADIUSBYMEMBER_RO",
    "GEORADIUS_RO",
    "GEOSEARCH",
    "GET",
    "GETBIT",
    "GETRANGE",
    "HEXISTS",
    "HEXPIRETIME",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HPEXPIRETIME",
    "HPTTL",
    "HRANDFIELD",
    "HSCAN",
    "HSTRLEN",
    "HTTL",
    "HVALS",
    "KEYS",
    "LCS",
    "LINDEX",
    "LLEN",
    "LOLWUT",
    "LPOS",
    "LRANGE",
    "MEMORY",
    "MEMORY|USAGE",
    "MGET",
    "OBJECT",
    "OBJECT|ENCODING",
    "OBJECT|FREQ",
    "OBJECT|IDLETIME",
    "OBJECT|REFCOUNT",
    "PEXPIRETIME",
    "PFCOUNT",
    "PTTL",
    "RANDOMKEY",
    "SCAN",
    "SCARD",
    "SDIFF",
    "SINTER",
    "SINTERCARD",
    "SISMEMBER",
    "SMEMBERS",
    "SMISMEMBER",
    "SORT_RO",
    "SRANDMEMBER",
    "SSCAN",
    "STRLEN",
    "SUBSTR",
    "SUNION",
    "TOUCH",
    "TTL",
    "TYPE",
    "XINFO",
    "XINFO|CONSUMERS",
    "XINFO|GROUPS",
    "XINFO|STREAM",
    "XLEN",
    "XPENDING",
    "XRANGE",
    "XREAD",
    "XREVRANGE",
    "ZCARD",
    "ZCOUNT",
    "ZDIFF",
    "ZINTER",
    "ZINTERCARD",
    "ZLEXCOUNT",
    "ZMSCORE",
    "ZRANDMEMBER",
    "ZRANGE",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZRANK",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZREVRANGEBYSCORE",
    "ZREVRANK",
    "ZSCAN",
    "ZSCORE",
    "ZUNION",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(READ_ONLY.is_sorted());
    }

    #[test]
    fn reads_are_told_from_writes_and_from_what_replication_brings() {
        let told = [
            "GET",
            "OBJECT|FREQ",
            "OBJECT",
            "EVAL_RO",
            "SET",
            "PUBLISH",
            "MULTI",
            "EXEC",
            "PING",
            "EVAL",
        ]
        .map(is_read_only);
        assert_eq!(told, [true, true, true, true, false, false, false, false, false, false]);
    }
}
