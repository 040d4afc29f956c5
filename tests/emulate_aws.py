"""AWS for tests: moto, with nodes that are really there.

The argument is a file of JSON, read again whenever it changes:

    places    cache cluster -> [host, port]; a node without one is where nobody listens
    calls     [region, role or null, service, method, arguments], made once each, in order
    limits    parameter group -> the hard limit of a client's output buffer in it; without one it is what AWS's own example says
    policies  at the start only: a user is made for each, the keys are printed, and from then on nobody may do more

moto knows replication groups, but its members lead nowhere, it has no cache clusters for them, no parameters, and no serverless caches.
What a policy doesn't allow it refuses in the words of EC2, which ElastiCache's clients can't read. Parameters are those of the example
that AWS publishes with its API's description, behind more than a page of others; moto writes them as that description has it.
"""

import json
import sys
import time

import boto3
import botocore.loaders
from moto import settings
from moto.core.exceptions import _RESTError
from moto.core.responses import ActionResult, PaginatedResult
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

NOWHERE = ("127.0.0.1", 1)
PARAMETER_GROUP = "careful-redis7"
PAGE = 100
LIMIT = "client-output-buffer-limit-normal-hard-limit"


class Script:
    """What the file says now."""

    def __init__(self, path):
        self.path = path
        self.made = 0
        self.read()

    def read(self):
        with open(self.path) as file:
            self.text = file.read()
        self.said = json.loads(self.text)

    def has_changed(self):
        with open(self.path) as file:
            return file.read() != self.text

    def endpoint(self, member):
        host, port = self.said["places"].get(member, NOWHERE)
        return {"address": host, "port": port}

    def make_calls(self, url):
        for region, role, service, method, arguments in self.said["calls"][self.made :]:
            getattr(client(url, service, region, role), method)(**arguments)
            self.made += 1


def client(url, service, region, role=None):
    access = {"endpoint_url": url, "region_name": region, "aws_access_key_id": "AKIDROOT", "aws_secret_access_key": "x"}
    if role:
        assumed = boto3.client("sts", **access).assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
        access["aws_access_key_id"] = assumed["AccessKeyId"]
        access["aws_secret_access_key"] = assumed["SecretAccessKey"]
        access["aws_session_token"] = assumed["SessionToken"]
    return boto3.client(service, **access)


def give_nodes_a_place(script):
    groups_of, clusters_of = ElastiCacheBackend.describe_replication_groups, ElastiCacheBackend.describe_cache_clusters

    def describe_replication_groups(self, replication_group_id=None):
        groups = groups_of(self, replication_group_id)
        for member in (member for group in groups for shard in group.node_groups for member in shard["node_group_members"]):
            if "read_endpoint" in member:
                member["read_endpoint"] = script.endpoint(member["cache_cluster_id"])
        return groups

    def describe_cache_clusters(self, cache_cluster_id=None):
        members = [
            {
                "cache_cluster_id": member,
                "replication_group_id": group.replication_group_id,
                "engine": group.engine,
                "cache_node_type": group.cache_node_type,
                "cache_cluster_status": "available",
                "cache_parameter_group": {"cache_parameter_group_name": PARAMETER_GROUP},
                "cache_nodes": [{"cache_node_id": "0001", "endpoint": script.endpoint(member)}],
            }
            for group in self.replication_groups.values()
            for member in group.member_clusters
        ]
        return clusters_of(self, cache_cluster_id) + members

    def describe_serverless_caches(self):
        return PaginatedResult({"ServerlessCaches": []})

    def describe_cache_parameters(self):
        limits = script.said["limits"]
        group = self._get_param("CacheParameterGroupName")
        # It is the second page that tells.
        parameters = [{"ParameterName": f"parameter-{number}", "ParameterValue": "1"} for number in range(150)]
        for parameter in published_parameters():
            if parameter["ParameterName"] == LIMIT and group in limits:
                parameter = {**parameter, "ParameterValue": limits[group], "Source": "user"}
            parameters.append(parameter)
        start = int(self._get_param("Marker") or 0)
        end = start + PAGE
        marker = {"Marker": str(end)} if end < len(parameters) else {}
        return ActionResult({"Parameters": parameters[start:end], **marker})

    ElastiCacheResponse.describe_cache_parameters = describe_cache_parameters
    ElastiCacheBackend.describe_replication_groups = describe_replication_groups
    ElastiCacheBackend.describe_cache_clusters = describe_cache_clusters
    ElastiCacheResponse.describe_serverless_caches = describe_serverless_caches


def published_parameters():
    examples = botocore.loaders.create_loader().load_service_model("elasticache", "examples-1")
    return examples["examples"]["DescribeCacheParameters"][0]["output"]["Parameters"]


def refuse_as_elasticache_does():
    as_ec2_does = _RESTError.__init__

    def refusal(self, *arguments, **more):
        as_ec2_does(self, *arguments, **more)
        self.description = self.description.replace("<Errors>", "").replace("</Errors>", "")

    _RESTError.__init__ = refusal


def make_users(url, policies):
    iam = client(url, "iam", "us-east-1")
    for number, policy in enumerate(policies):
        name = f"user-{number}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        print("key", key["AccessKeyId"], key["SecretAccessKey"])
    if policies:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0


def main():
    script = Script(sys.argv[1])
    give_nodes_a_place(script)
    refuse_as_elasticache_does()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    script.make_calls(url)
    make_users(url, script.said["policies"])
    print("listening", url, flush=True)
    while True:
        time.sleep(0.05)
        if script.has_changed():
            script.read()
            script.make_calls(url)


main()
