/*
 * Docker's and podman's words for what `husk info` knows, and for what their scripts ask of a host besides.
 * Compatible with: docker info --format, podman info --format.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/info_docs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "os/fs.h"

enum { FILE_MAX = 65536 };

static char *file_text(const char *path)
{
    char *text = NULL;
    err_ignore(fs_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL), "a host without it has nothing to say there");
    return text;
}

static bool file_says(const char *path, const char *start)
{
    own_mem char *text = file_text(path);
    return text && str_starts(text, start);
}

/* A variable of os-release(5); NULL: it is not there. */
static char *os_release(const char *variable)
{
    own_mem char *text = file_text("/etc/os-release");
    size_t n = strlen(variable);
    const char *line = text;
    for (; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, variable, n) == 0 && line[n] == '=')
            break;
    if (!line || !*line)
        return NULL;
    line += n + 1;
    const char *marks = *line == '"' ? "\"\n" : *line == '\'' ? "'\n" : "\n";
    line += *marks != '\n';
    return mem_strndup(line, strcspn(line, marks));
}

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

static void put_text(json_t *o, const char *key, const char *text)
{
    put(o, key, json_string(text ? text : ""));
}

static void put_same(json_t *o, const char *key, const json_t *doc, const char *ours)
{
    (void)json_object_set(o, key, json_object_get(doc, ours));
}

static void put_flag(json_t *o, const char *key, bool v)
{
    put(o, key, json_boolean(v));
}

/* "name=seccomp,profile=builtin", as docker has them. */
static json_t *security_options(bool rootless, bool apparmor, bool selinux, bool v2)
{
    json_t *list = json_array();
    const struct {
        const char *word;
        bool there;
    } words[] = { { "name=apparmor", apparmor },
                  { "name=seccomp,profile=builtin", true },
                  { "name=selinux", selinux },
                  { "name=rootless", rootless },
                  { "name=cgroupns", v2 } };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].there)
            (void)json_array_append_new(list, json_string(words[i].word));
    return list;
}

struct facts {
    bool rootless, apparmor, selinux, v2, limits;
    struct sysinfo memory;
};

static struct facts look(const json_t *doc)
{
    struct facts f = {
        .rootless = json_is_true(json_object_get(doc, "Rootless")),
        .apparmor = file_says("/sys/module/apparmor/parameters/enabled", "Y"),
        .selinux = access("/sys/fs/selinux/enforce", F_OK) == 0,
        .v2 = str_eq(json_string_value(json_object_get(doc, "Cgroups")), "v2"),
        .limits = json_is_true(json_object_get(doc, "CgroupsUsable")),
    };
    (void)sysinfo(&f.memory);
    return f;
}

static void add_docker(json_t *doc, const struct utsname *u, const struct facts *f)
{
    static const char *const limits[] = { "MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota",
                                          "CPUShares",   "CPUSet",    "PidsLimit" };
    char now[40];
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    own_mem char *name = os_release("PRETTY_NAME"), *version = os_release("VERSION_ID");
    put_text(doc, "ServerVersion", HUSK_VERSION);
    put_same(doc, "Driver", doc, "Storage");
    put_text(doc, "CgroupDriver", "cgroupfs");
    put_text(doc, "CgroupVersion", f->v2 ? "2" : "1");
    put_text(doc, "OSType", "linux");
    put_text(doc, "OperatingSystem", name ? name : "Linux");
    put_text(doc, "OSVersion", version);
    put_same(doc, "NCPU", doc, "Processors");
    put_same(doc, "MemTotal", doc, "Memory");
    put_text(doc, "KernelVersion", u->release);
    put_text(doc, "Name", u->nodename);
    put_same(doc, "DockerRootDir", doc, "Root");
    put_text(doc, "LoggingDriver", "json-file");
    put_text(doc, "DefaultRuntime", "husk");
    put(doc, "Runtimes", json_pack("{s:{s:s}}", "husk", "path", "husk-oci"));
    put_flag(doc, "LiveRestoreEnabled", true);
    put_text(doc, "IndexServerAddress", "https://index.docker.io/v1/");
    put(doc, "SecurityOptions", security_options(f->rootless, f->apparmor, f->selinux, f->v2));
    put(doc, "Plugins",
        json_pack("{s:[s], s:[s,s,s,s,s], s:[s,s,s,s], s:[]}", "Volume", "local", "Network", "bridge", "host", "ipvlan",
                  "macvlan", "none", "Log", "journald", "json-file", "none", "passthrough", "Authorization"));
    put(doc, "Swarm", json_pack("{s:s, s:b}", "LocalNodeState", "inactive", "ControlAvailable", 0));
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        put_flag(doc, limits[i], f->limits);
    put_flag(doc, "IPv4Forwarding", file_says("/proc/sys/net/ipv4/ip_forward", "1"));
    put_text(doc, "SystemTime", format_time_ns((int64_t)t.tv_sec * 1000000000 + t.tv_nsec, now));
    put_text(doc, "InitBinary", "husk-init");
    put_text(doc, "HttpProxy", getenv("HTTP_PROXY"));
    put_text(doc, "HttpsProxy", getenv("HTTPS_PROXY"));
    put_text(doc, "NoProxy", getenv("NO_PROXY"));
    put_flag(doc, "ExperimentalBuild", false);
    put_flag(doc, "BridgeNfIptables", file_says("/proc/sys/net/bridge/bridge-nf-call-iptables", "1"));
    put_flag(doc, "BridgeNfIp6tables", file_says("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "1"));
    put_flag(doc, "OomKillDisable", f->limits && !f->v2);
    put_flag(doc, "KernelMemory", false); /* the kernel has given that limit up */
    put_flag(doc, "KernelMemoryTCP", false);
    put_text(doc, "Isolation", NULL); /* what Windows chooses from */
    put_text(doc, "ProductLicense", NULL);
    put(doc, "FirewallBackend", json_pack("{s:s}", "Driver", "nftables"));
    put(doc, "ClientInfo",
        json_pack("{s:s, s:s, s:b, s:[]}", "Version", HUSK_VERSION, "Context", "default", "Debug", 0, "Plugins"));
    put_flag(doc, "Debug", false);
    put(doc, "Labels", json_array());
    put(doc, "Warnings", json_array());
}

/* Since the machine is up, in percent. Source: proc_stat(5). */
static json_t *cpu_utilization(void)
{
    own_mem char *text = file_text("/proc/stat");
    double user = 0, nice = 0, kernel = 0, idle = 0, wait = 0;
    if (!text || sscanf(text, "cpu %lf %lf %lf %lf %lf", &user, &nice, &kernel, &idle, &wait) != 5)
        return json_object();
    double all = user + nice + kernel + idle + wait;
    return json_pack("{s:f, s:f, s:f}", "UserPercent", 100 * (user + nice) / all, "SystemPercent", 100 * kernel / all,
                     "IdlePercent", 100 * (idle + wait) / all);
}

/* As {container_id, host_id, size}; root's own are all of them. Source: user_namespaces(7). */
static json_t *id_map(const char *path)
{
    own_mem char *text = file_text(path);
    json_t *list = json_array();
    unsigned long long inside, outside, size;
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (sscanf(line, "%llu %llu %llu", &inside, &outside, &size) == 3)
            (void)json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "container_id", (json_int_t)inside,
                                                        "host_id", (json_int_t)outside, "size", (json_int_t)size));
    return list;
}

static json_t *host_doc(const json_t *doc, const struct utsname *u, const struct facts *f)
{
    json_t *o = json_object();
    own_mem char *id = os_release("ID"), *version = os_release("VERSION_ID"), *code = os_release("VERSION_CODENAME");
    char up[64];
    int64_t unit = f->memory.mem_unit ? f->memory.mem_unit : 1;
    put_same(o, "Arch", doc, "Architecture");
    put_text(o, "CgroupManager", "cgroupfs");
    put_text(o, "CgroupVersion", f->v2 ? "v2" : "v1");
    put_text(o, "CgroupsVersion", f->v2 ? "v2" : "v1");
    put_same(o, "CPUs", doc, "Processors");
    put(o, "Distribution",
        json_pack("{s:s, s:s, s:s}", "Distribution", id ? id : "", "Version", version ? version : "", "Codename",
                  code ? code : ""));
    put_text(o, "EventLogger", "file");
    put_text(o, "Hostname", u->nodename);
    put_text(o, "Kernel", u->release);
    put_text(o, "LogDriver", "json-file");
    put_same(o, "MemTotal", doc, "Memory");
    put(o, "MemFree", json_integer((json_int_t)f->memory.freeram * unit));
    put(o, "SwapTotal", json_integer((json_int_t)f->memory.totalswap * unit));
    put(o, "SwapFree", json_integer((json_int_t)f->memory.freeswap * unit));
    put_text(o, "NetworkBackend", "husk");
    put_text(o, "OS", "linux");
    put(o, "OCIRuntime", json_pack("{s:s, s:s}", "Name", "husk", "Version", HUSK_VERSION));
    put(o, "RemoteSocket", json_pack("{s:s, s:b}", "Path", "", "Exists", 0));
    put(o, "Security",
        json_pack("{s:b, s:b, s:b, s:b}", "Rootless", f->rootless, "AppArmorEnabled", f->apparmor, "SELinuxEnabled",
                  f->selinux, "SECCOMPEnabled", 1));
    put_flag(o, "ServiceIsRemote", false);
    put(o, "CPUUtilization", cpu_utilization());
    put_text(o, "DatabaseBackend", "sqlite");
    put(o, "IDMappings",
        json_pack("{s:o, s:o}", "UIDMap", id_map("/proc/self/uid_map"), "GIDMap", id_map("/proc/self/gid_map")));
    put_text(o, "Linkmode", "static");
    put_text(o, "RootlessNetworkCmd", "pasta");
    put(o, "NetworkBackendInfo", json_pack("{s:s, s:s}", "Backend", "husk", "DNS", "husk-dns"));
    put_text(o, "Uptime", format_duration((uint64_t)f->memory.uptime, up));
    return o;
}

/* Of the file system that the store is on. */
static void add_room(json_t *o, const char *root)
{
    struct statvfs st;
    if (!root || statvfs(root, &st) < 0)
        return;
    put(o, "GraphRootAllocated", json_integer((json_int_t)(st.f_blocks * st.f_frsize)));
    put(o, "GraphRootUsed", json_integer((json_int_t)((st.f_blocks - st.f_bfree) * st.f_frsize)));
}

static json_t *store_doc(const json_t *doc)
{
    json_t *o = json_object(), *containers = json_object(), *images = json_object();
    put_same(o, "GraphDriverName", doc, "Storage");
    put_same(o, "GraphRoot", doc, "Root");
    put_same(o, "RunRoot", doc, "Run");
    put_flag(o, "TransientStore", false);
    put(o, "ImageCopyTmpDir", json_sprintf("%s/tmp", json_string_value(json_object_get(doc, "Root"))));
    add_room(o, json_string_value(json_object_get(doc, "Root")));
    put(o, "VolumePath", json_sprintf("%s/volumes", json_string_value(json_object_get(doc, "Root"))));
    put_same(containers, "Number", doc, "Containers");
    put_same(containers, "Running", doc, "ContainersRunning");
    put_same(containers, "Paused", doc, "ContainersPaused");
    put_same(containers, "Stopped", doc, "ContainersStopped");
    put_same(images, "Number", doc, "Images");
    put(o, "ContainerStore", containers);
    put(o, "ImageStore", images);
    return o;
}

void info_add_their_names(json_t *doc, const struct utsname *u)
{
    struct facts f = look(doc);
    add_docker(doc, u, &f);
    put(doc, "Host", host_doc(doc, u, &f));
    put(doc, "Store", store_doc(doc));
}
