//! The commands that simulated servers know: how their counters call them, what they cost, what MONITOR shows.

macro_rules! verbs {
    ($($name:ident $spelled:literal $cost:literal $kind:ident;)*) => {
        /// A command, as the server's counters know it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum Verb { $($name,)* }

        impl Verb {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As `INFO commandstats` writes it.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$name => $spelled,)* }
            }

            /// Microseconds of the main thread, without what the size of the reply adds.
            pub(super) fn cost(self) -> f64 {
                match self { $(Self::$name => $cost,)* }
            }

            pub(super) fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

/// What sort of command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reads keys.
    Read,
    /// Writes keys.
    Write,
    /// Neither.
    Other,
    /// Administers; MONITOR doesn't show it.
    Admin,
}

verbs! {
    Get "get" 0.9 Read;
    Set "set" 1.4 Write;
    Expire "expire" 0.8 Write;
    PExpireAt "pexpireat" 0.8 Write;
    Del "del" 0.9 Write;
    Incr "incr" 1.0 Write;
    HGet "hget" 1.1 Read;
    HGetAll "hgetall" 2.0 Read;
    HSet "hset" 1.5 Write;
    HIncrBy "hincrby" 1.3 Write;
    HLen "hlen" 0.7 Read;
    ZAdd "zadd" 3.1 Write;
    ZIncrBy "zincrby" 3.2 Write;
    ZRevRange "zrevrange" 3.0 Read;
    LPush "lpush" 1.2 Write;
    LTrim "ltrim" 0.9 Write;
    LRange "lrange" 2.0 Read;
    EvalSha "evalsha" 6.0 Other;
    Keys "keys" 20.0 Read;
    Ping "ping" 0.4 Other;
    Select "select" 0.3 Other;
    Hello "hello" 4.0 Other;
    Auth "auth" 3.0 Other;
    ClientSetName "client|setname" 0.8 Other;
    ClientGetName "client|getname" 0.6 Other;
    ClientId "client|id" 0.4 Other;
    ClientNoTouch "client|no-touch" 0.4 Other;
    ClientList "client|list" 12.0 Admin;
    ClientKill "client|kill" 4.0 Admin;
    Info "info" 49.0 Other;
    Role "role" 3.0 Other;
    ClusterShards "cluster|shards" 25.0 Other;
    ClusterSlots "cluster|slots" 20.0 Other;
    ClusterMyId "cluster|myid" 0.8 Other;
    ClusterMyShardId "cluster|myshardid" 0.8 Other;
    ClusterInfo "cluster|info" 14.0 Other;
    Command "command" 10.0 Other;
    CommandCount "command|count" 0.5 Other;
    ReadOnly "readonly" 0.4 Other;
    Reset "reset" 1.0 Other;
    Quit "quit" 0.5 Other;
    Echo "echo" 0.4 Other;
    Time "time" 0.5 Other;
    Monitor "monitor" 1.0 Admin;
    ConfigGet "config|get" 26.0 Admin;
    Replconf "replconf" 1.2 Admin;
    Psync "psync" 25.0 Admin;
    MemoryUsage "memory|usage" 5.0 Read;
    Type "type" 0.5 Read;
    Exists "exists" 0.5 Read;
    Ttl "ttl" 0.5 Read;
    ObjectEncoding "object|encoding" 0.7 Read;
    ObjectFreq "object|freq" 0.6 Read;
    StrLen "strlen" 0.6 Read;
    HStrLen "hstrlen" 0.8 Read;
    LLen "llen" 0.5 Read;
    LIndex "lindex" 0.9 Read;
    SCard "scard" 0.5 Read;
    ZCard "zcard" 0.5 Read;
    XLen "xlen" 0.5 Read;
    HRandField "hrandfield" 6.0 Read;
    SRandMember "srandmember" 4.0 Read;
    ZRandMember "zrandmember" 6.0 Read;
}

impl Verb {
    /// As what it reaches a replica.
    pub(super) fn replicated(self) -> Self {
        if self == Self::Expire { Self::PExpireAt } else { self }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Whether those who come through the door may use it; the rest only the simulation itself sends.
    pub(super) fn is_answered(self) -> bool {
        self.kind() != Kind::Write
            && !matches!(
                self,
                Self::HGetAll
                    | Self::ZRevRange
                    | Self::LRange
                    | Self::EvalSha
                    | Self::Keys
                    | Self::Replconf
                    | Self::Psync
            )
    }

    pub(super) fn arity(self) -> (usize, usize) {
        const ANY: usize = usize::MAX;
        match self {
            Self::Ping => (1, 2),
            Self::Hello | Self::Info | Self::Command => (1, ANY),
            Self::Auth => (2, 3),
            Self::Select | Self::Echo | Self::Type | Self::Ttl | Self::StrLen => (2, 2),
            Self::Get | Self::LLen | Self::HLen | Self::SCard | Self::ZCard | Self::XLen => (2, 2),
            Self::HGet | Self::HStrLen | Self::LIndex | Self::ClientSetName | Self::ClientNoTouch => (3, 3),
            Self::ObjectEncoding | Self::ObjectFreq => (3, 3),
            Self::MemoryUsage | Self::ConfigGet | Self::ClientKill => (3, ANY),
            Self::ClientList => (2, ANY),
            Self::ClientId | Self::ClientGetName | Self::CommandCount => (2, 2),
            Self::ClusterShards
            | Self::ClusterSlots
            | Self::ClusterMyId
            | Self::ClusterMyShardId
            | Self::ClusterInfo => (2, 2),
            Self::Exists | Self::HRandField | Self::SRandMember | Self::ZRandMember => (2, ANY),
            _ => (1, 1),
        }
    }

    /// Where the key of a probe stands.
    pub(super) fn key_position(self) -> Option<usize> {
        match self {
            Self::MemoryUsage | Self::ObjectEncoding | Self::ObjectFreq => Some(2),
            verb if verb.kind() == Kind::Read => Some(1),
            _ => None,
        }
    }
}
