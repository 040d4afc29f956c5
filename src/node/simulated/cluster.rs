//! Answers about the cluster: roles and who owns what.

use super::answers::Asked;
use super::resp::Reply;

impl Asked<'_> {
    pub(super) fn role(&mut self) -> Reply {
        let offset = self.server().offset;
        let endpoint = |member: usize| self.shard.layout.endpoints[self.shard.number][member].clone();
        if self.is_primary() {
            let replicas = self.shard.connected_replicas().into_iter().map(|replica| {
                let endpoint = endpoint(replica.place.member);
                Reply::Array(vec![
                    Reply::bulk(endpoint.host()),
                    Reply::bulk(endpoint.port().to_string()),
                    Reply::bulk(replica.offset.to_string()),
                ])
            });
            return Reply::Array(vec![
                Reply::bulk("master"),
                Reply::Integer(offset as i64),
                Reply::Array(replicas.collect()),
            ]);
        }
        let primary = endpoint(self.shard.cast.primary);
        let linked = !self.shard.cast.members[self.shard.cast.primary].down;
        Reply::Array(vec![
            Reply::bulk("slave"),
            Reply::bulk(primary.host()),
            Reply::Integer(primary.port().into()),
            Reply::bulk(if linked { "connected" } else { "connect" }),
            Reply::Integer(if linked { offset as i64 } else { -1 }),
        ])
    }

    pub(super) fn cluster_shards(&self) -> Reply {
        let moment = self.shard.moment(self.now);
        let shards = (0..self.shard.scenario.shards).map(|shard| {
            let ranges = self.shard.layout.slots[shard].ranges().iter();
            let slots =
                ranges.flat_map(|range| [range.first, range.last].map(|slot| Reply::Integer(slot.number().into())));
            let cast = self.shard.scenario.cast(shard, moment);
            let nodes = (0..cast.members.len()).map(|member| {
                let endpoint = &self.shard.layout.endpoints[shard][member];
                let own = (shard == self.shard.number).then(|| self.shard.servers[member].offset);
                Reply::Array(vec![
                    Reply::bulk("id"),
                    Reply::bulk(self.node_id(shard, member)),
                    Reply::bulk("port"),
                    Reply::Integer(endpoint.port().into()),
                    Reply::bulk("ip"),
                    Reply::bulk(endpoint.host()),
                    Reply::bulk("endpoint"),
                    Reply::bulk(endpoint.host()),
                    Reply::bulk("role"),
                    Reply::bulk(if member == cast.primary { "master" } else { "replica" }),
                    Reply::bulk("replication-offset"),
                    Reply::Integer(own.unwrap_or_default() as i64),
                    Reply::bulk("health"),
                    Reply::bulk(if cast.members[member].works() { "online" } else { "fail" }),
                ])
            });
            Reply::Array(vec![
                Reply::bulk("slots"),
                Reply::Array(slots.collect()),
                Reply::bulk("nodes"),
                Reply::Array(nodes.collect()),
            ])
        });
        Reply::Array(shards.collect())
    }

    pub(super) fn cluster_slots(&self) -> Reply {
        let moment = self.shard.moment(self.now);
        let mut entries = Vec::new();
        for shard in 0..self.shard.scenario.shards {
            let primary = self.shard.scenario.cast(shard, moment).primary;
            let replicas = (0..self.shard.scenario.members()).filter(|member| *member != primary);
            let members: Vec<usize> = std::iter::once(primary).chain(replicas).collect();
            for range in self.shard.layout.slots[shard].ranges() {
                let mut entry = vec![
                    Reply::Integer(range.first.number().into()),
                    Reply::Integer(range.last.number().into()),
                ];
                entry.extend(members.iter().map(|member| {
                    let endpoint = &self.shard.layout.endpoints[shard][*member];
                    Reply::Array(vec![
                        Reply::bulk(endpoint.host()),
                        Reply::Integer(endpoint.port().into()),
                        Reply::bulk(self.node_id(shard, *member)),
                        Reply::Array(Vec::new()),
                    ])
                }));
                entries.push(Reply::Array(entry));
            }
        }
        Reply::Array(entries)
    }

    pub(super) fn node_id(&self, shard: usize, member: usize) -> String {
        self.shard.layout.cluster_ids[shard][member].clone()
    }
}
