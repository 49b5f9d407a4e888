//! `info` and `version`.

use super::count;
use crate::base::Timestamp;
use crate::base::order::Ordered;
use crate::engine::Info;
use crate::wire::system as wire;

/// Our own version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that this was built from, when the build was told.
const COMMIT: &str = match option_env!("SKIFF_COMMIT") {
    Some(commit) => commit,
    None => "",
};

/// The architecture in Go's words, which clients compare.
const ARCH: &str = {
    #[cfg(target_arch = "x86_64")]
    {
        "amd64"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "arm64"
    }
    #[cfg(target_arch = "arm")]
    {
        "arm"
    }
};

/// The answer of `version` on a host with `kernel`.
pub(in crate::api) fn version(kernel: &str) -> wire::Version {
    let detail = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    wire::Version {
        platform: wire::Platform { name: "skiff".into() },
        components: vec![wire::Component {
            name: "Engine".into(),
            version: VERSION.into(),
            details: [
                detail("ApiVersion", wire::API_VERSION),
                detail("Arch", ARCH),
                detail("BuildTime", ""),
                detail("Experimental", "false"),
                detail("GitCommit", COMMIT),
                detail("GoVersion", ""),
                detail("KernelVersion", kernel),
                detail("MinAPIVersion", wire::MIN_API_VERSION),
                detail("Os", "linux"),
            ]
            .into(),
        }],
        version: VERSION.into(),
        api_version: wire::API_VERSION.into(),
        min_api_version: wire::MIN_API_VERSION.into(),
        git_commit: COMMIT.into(),
        go_version: String::new(),
        os: "linux".into(),
        arch: ARCH.into(),
        kernel_version: kernel.into(),
        experimental: false,
        build_time: String::new(),
    }
}

/// The answer of `info`.
pub(in crate::api) fn info(info: Info) -> wire::Info {
    let Info {
        id,
        running,
        paused,
        stopped,
        images,
        driver,
        driver_status,
        cgroup_version,
        memory_limit,
        swap_limit,
        cpu_shares,
        cpuset,
        pids_limit,
        seccomp,
        ipv4_forwarding,
        warnings,
        root,
        kernel,
        operating_system,
        architecture,
        cpus,
        memory,
        name,
        debug,
        fds,
        threads,
        event_listeners,
        labels,
    } = info;
    let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    wire::Info {
        id,
        containers: count(running + paused + stopped),
        containers_running: count(running),
        containers_paused: count(paused),
        containers_stopped: count(stopped),
        images: count(images),
        driver,
        // The only place for words of our own that clients show.
        driver_status: driver_status
            .into_iter()
            .chain([("API versions".to_owned(), crate::wire::version::ranges())])
            .map(|(name, value)| [name, value])
            .collect(),
        plugins: wire::Plugins {
            volume: Vec::new(),
            network: list(&["host", "null"]),
            authorization: None,
            log: list(&["json-file", "none"]),
        },
        memory_limit,
        swap_limit,
        cpu_cfs_period: cpu_shares,
        cpu_cfs_quota: cpu_shares,
        cpu_shares,
        cpu_set: cpuset,
        pids_limit,
        ipv4_forwarding,
        bridge_nf_iptables: false,
        bridge_nf_ip6tables: false,
        debug,
        n_fd: count(fds),
        oom_kill_disable: memory_limit && cgroup_version == "1",
        n_goroutines: count(threads),
        system_time: Timestamp::now().to_string(),
        logging_driver: "json-file".into(),
        cgroup_driver: "cgroupfs".into(),
        cgroup_version,
        n_events_listener: count(event_listeners),
        kernel_version: kernel,
        operating_system,
        os_version: String::new(),
        os_type: "linux".into(),
        architecture,
        index_server_address: "https://index.docker.io/v1/".into(),
        registry_config: wire::RegistryConfig::default(),
        ncpu: count(cpus),
        mem_total: count(memory),
        generic_resources: None,
        docker_root_dir: root.display().to_string(),
        http_proxy: String::new(),
        https_proxy: String::new(),
        no_proxy: String::new(),
        name,
        labels,
        experimental_build: false,
        server_version: VERSION.into(),
        runtimes: std::iter::once(("skiff".to_owned(), wire::Runtime { path: "skiff".into() }))
            .into_map(),
        default_runtime: "skiff".into(),
        swarm: wire::Swarm { local_node_state: "inactive".into(), ..wire::Swarm::default() },
        live_restore_enabled: true,
        isolation: String::new(),
        init_binary: String::new(),
        containerd_commit: wire::Commit::default(),
        runc_commit: wire::Commit::default(),
        init_commit: wire::Commit::default(),
        security_options: if seccomp {
            list(&["name=seccomp,profile=builtin"])
        } else {
            Vec::new()
        },
        cdi_spec_dirs: Vec::new(),
        warnings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_the_range_of_versions() {
        let shown = serde_json::to_value(version("6.1")).unwrap();
        assert_eq!(shown["ApiVersion"], "1.44");
        assert_eq!(shown["MinAPIVersion"], "1.24");
        assert_eq!(shown["Components"][0]["Details"]["KernelVersion"], "6.1");
        assert_eq!(shown["KernelVersion"], "6.1");
    }

    #[test]
    fn all_containers_are_the_sum_of_their_states() {
        let given = Info { running: 1, paused: 2, stopped: 3, ..Info::default() };
        assert_eq!(info(given).containers, 6);
    }
}
