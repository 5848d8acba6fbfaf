"""cri.py SOCKET CALL [JSON]: one call of Kubernetes' CRI (runtime.v1) as a kubelet makes it, for 263-cri: the request as JSON
with the names of api.proto, the answer printed so. A call that fails prints its status and message, and ends with 1.

gRPC is HTTP/2, which curl speaks, with a message of protocol buffers in a frame of five bytes; the messages that the
test needs are in the tables below, so that nothing has to be generated."""
import json
import struct
import subprocess
import sys
import urllib.parse

# message: {field: (number, type)}; a type is s(tring), i(nteger), map or a message's name; "*": repeated
MESSAGES = {
    "RunPodSandboxRequest": {"config": (1, "PodSandboxConfig"), "runtime_handler": (2, "s")},
    "RunPodSandboxResponse": {"pod_sandbox_id": (1, "s")},
    "PodSandboxConfig": {"metadata": (1, "PodSandboxMetadata"), "hostname": (2, "s"), "log_directory": (3, "s"),
                         "dns_config": (4, "DNSConfig"), "labels": (6, "map"), "annotations": (7, "map"),
                         "linux": (8, "LinuxPodSandboxConfig")},
    "PodSandboxMetadata": {"name": (1, "s"), "uid": (2, "s"), "namespace": (3, "s"), "attempt": (4, "i")},
    "DNSConfig": {"servers": (1, "*s"), "searches": (2, "*s"), "options": (3, "*s")},
    "LinuxPodSandboxConfig": {"cgroup_parent": (1, "s"), "security_context": (2, "LinuxSandboxSecurityContext"),
                              "sysctls": (3, "map")},
    "LinuxSandboxSecurityContext": {"namespace_options": (1, "NamespaceOption"), "privileged": (6, "i")},
    "NamespaceOption": {"network": (1, "i"), "pid": (2, "i"), "ipc": (3, "i"), "target_id": (4, "s")},
    "PodSandboxStatusRequest": {"pod_sandbox_id": (1, "s")},
    "PodSandboxStatusResponse": {"status": (1, "PodSandboxStatus")},
    "PodSandboxStatus": {"id": (1, "s"), "state": (3, "i"), "network": (5, "PodSandboxNetworkStatus")},
    "PodSandboxNetworkStatus": {"ip": (1, "s")},
    "StopPodSandboxRequest": {"pod_sandbox_id": (1, "s")},
    "RemovePodSandboxRequest": {"pod_sandbox_id": (1, "s")},
    "CreateContainerRequest": {"pod_sandbox_id": (1, "s"), "config": (2, "ContainerConfig"),
                               "sandbox_config": (3, "PodSandboxConfig")},
    "CreateContainerResponse": {"container_id": (1, "s")},
    "ContainerConfig": {"metadata": (1, "ContainerMetadata"), "image": (2, "ImageSpec"), "command": (3, "*s"),
                        "args": (4, "*s"), "working_dir": (5, "s"), "envs": (6, "*KeyValue"), "mounts": (7, "*Mount"),
                        "devices": (8, "*Device"), "log_path": (11, "s"), "tty": (14, "i"),
                        "linux": (15, "LinuxContainerConfig")},
    "ContainerMetadata": {"name": (1, "s"), "attempt": (2, "i")},
    "ImageSpec": {"image": (1, "s")},
    "KeyValue": {"key": (1, "s"), "value": (2, "s")},
    "Mount": {"container_path": (1, "s"), "host_path": (2, "s"), "readonly": (3, "i"), "propagation": (5, "i")},
    "Device": {"container_path": (1, "s"), "host_path": (2, "s"), "permissions": (3, "s")},
    "LinuxContainerConfig": {"resources": (1, "LinuxContainerResources"),
                             "security_context": (2, "LinuxContainerSecurityContext")},
    "LinuxContainerResources": {"cpu_period": (1, "i"), "cpu_quota": (2, "i"), "cpu_shares": (3, "i"),
                                "memory_limit_in_bytes": (4, "i"), "oom_score_adj": (5, "i"), "cpuset_cpus": (6, "s")},
    "LinuxContainerSecurityContext": {"capabilities": (1, "Capability"), "privileged": (2, "i"),
                                      "namespace_options": (3, "NamespaceOption"), "run_as_user": (5, "Int64Value"),
                                      "run_as_group": (12, "Int64Value"), "run_as_username": (6, "s"),
                                      "readonly_rootfs": (7, "i"), "supplemental_groups": (8, "*i"),
                                      "no_new_privs": (11, "i"), "masked_paths": (13, "*s"),
                                      "readonly_paths": (14, "*s"), "seccomp": (15, "SecurityProfile")},
    "Int64Value": {"value": (1, "i")},
    "Capability": {"add_capabilities": (1, "*s"), "drop_capabilities": (2, "*s")},
    "SecurityProfile": {"profile_type": (1, "i")},
    "StartContainerRequest": {"container_id": (1, "s")},
    "StopContainerRequest": {"container_id": (1, "s"), "timeout": (2, "i")},
    "RemoveContainerRequest": {"container_id": (1, "s")},
    "ContainerStatusRequest": {"container_id": (1, "s")},
    "ContainerStatusResponse": {"status": (1, "ContainerStatus")},
    "ContainerStatus": {"id": (1, "s"), "state": (3, "i"), "exit_code": (7, "i"), "reason": (10, "s"), "message": (11, "s")},
    "ExecSyncRequest": {"container_id": (1, "s"), "cmd": (2, "*s"), "timeout": (3, "i")},
    "ExecSyncResponse": {"stdout": (1, "s"), "stderr": (2, "s"), "exit_code": (3, "i")},
    "UpdateContainerResourcesRequest": {"container_id": (1, "s"), "linux": (2, "LinuxContainerResources")},
    "ContainerStatsRequest": {"container_id": (1, "s")},
    "ContainerStatsResponse": {"stats": (1, "ContainerStats")},
    "ContainerStats": {"cpu": (2, "CpuUsage"), "memory": (3, "MemoryUsage")},
    "CpuUsage": {"usage_core_nano_seconds": (2, "Int64Value")},
    "MemoryUsage": {"working_set_bytes": (2, "Int64Value"), "usage_bytes": (4, "Int64Value")},
    "ImageStatusRequest": {"image": (1, "ImageSpec")},
    "ImageStatusResponse": {"image": (1, "Image")},
    "Image": {"id": (1, "s")},
}


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def counted(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def encode_one(number, kind, value):
    if kind == "i":
        return varint(number << 3) + varint(int(value))
    return counted(number, value.encode() if kind == "s" else encode(kind, value))


def encode(message, value):
    out = b""
    for name, v in value.items():
        number, kind = MESSAGES[message][name]
        if kind == "map":
            for k, text in v.items():
                out += counted(number, counted(1, k.encode()) + counted(2, text.encode()))
        elif kind[0] == "*":
            for one in v:
                out += encode_one(number, kind[1:], one)
        else:
            out += encode_one(number, kind, v)
    return out


def read_varint(data, at):
    v = shift = 0
    while True:
        byte = data[at]
        v |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return v, at


def decode(message, data):
    """Fields that the table has not are left out; what is not there is 0 or empty, as protocol buffers have it."""
    fields = {number: (name, kind) for name, (number, kind) in MESSAGES.get(message, {}).items()}
    out = {name: 0 if kind == "i" else "" if kind == "s" else {} for name, kind in fields.values()}
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 2:
            n, at = read_varint(data, at)
            value, at = data[at:at + n], at + n
        elif key & 7 == 0:
            value, at = read_varint(data, at)
        else:
            sys.exit(f"{message}: a field of type {key & 7}")
        name, kind = fields.get(key >> 3, (None, None))
        if name:
            out[name] = value if kind == "i" else value.decode() if kind == "s" else decode(kind, value)
    return out


def main(socket, call, text="{}"):
    service = "ImageService" if call.startswith("Image") else "RuntimeService"
    body = encode(call + "Request", json.loads(text))
    r = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", socket, "-H", "content-type: application/grpc",
                        "-H", "te: trailers", "--data-binary", "@-", "-D", "/dev/stderr", f"http://cri/runtime.v1.{service}/{call}"],
                       input=b"\0" + struct.pack(">I", len(body)) + body, capture_output=True)
    said = dict(line.split(": ", 1) for line in r.stderr.decode().splitlines() if ": " in line)
    if r.returncode or said.get("grpc-status") != "0":
        sys.exit(f"{call}: {said.get('grpc-status', r.stderr.decode())}: {urllib.parse.unquote(said.get('grpc-message', ''))}")
    print(json.dumps(decode(call + "Response", r.stdout[5:])))


main(*sys.argv[1:])
