"""Rot the launch templates as a year of unattended infrastructure changes does."""

import boto3

drs = boto3.client("drs", "us-west-2")
ec2 = boto3.client("ec2", "us-west-2")


def template(n):
    tid = drs.get_launch_configuration(sourceServerID=f"s-{n:017x}")["ec2LaunchTemplateID"]
    data = ec2.describe_launch_template_versions(LaunchTemplateId=tid, Versions=["$Default"])["LaunchTemplateVersions"][
        0
    ]["LaunchTemplateData"]
    return tid, data


def new_version(tid, data, default):
    v = ec2.create_launch_template_version(LaunchTemplateId=tid, LaunchTemplateData=data)["LaunchTemplateVersion"][
        "VersionNumber"
    ]
    if default:
        ec2.modify_launch_template(LaunchTemplateId=tid, DefaultVersion=str(v))


tid, data = template(1)
good = dict(data)
bad = {k: v for k, v in data.items() if k != "NetworkInterfaces"}
new_version(tid, bad, True)
new_version(tid, good, False)  # default (2) has no network, latest (3) has
tid, data = template(2)
sub = ec2.create_subnet(VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"], CidrBlock="172.31.240.0/24")["Subnet"][
    "SubnetId"
]
data["NetworkInterfaces"][0]["SubnetId"] = sub
new_version(tid, data, True)
ec2.delete_subnet(SubnetId=sub)
tid, data = template(3)
sg = ec2.create_security_group(GroupName="gone", Description="x")["GroupId"]
data["NetworkInterfaces"][0]["Groups"] = [sg]
new_version(tid, data, True)
ec2.delete_security_group(GroupId=sg)
tid, data = template(4)
data["InstanceType"] = "z9x.mega"
new_version(tid, data, True)
tid, data = template(5)
data["IamInstanceProfile"] = {"Name": "profile-that-was-deleted"}
new_version(tid, data, True)
tid, _ = template(6)
ec2.delete_launch_template(LaunchTemplateId=tid)
tid, data = template(7)
vpc = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]
data["NetworkInterfaces"][0]["Groups"] = [
    ec2.create_security_group(GroupName="other", Description="x", VpcId=vpc)["GroupId"]
]
new_version(tid, data, True)
