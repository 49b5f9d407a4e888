//! The types into which Docker's clients read what a daemon sends, as far as templates can tell:
//! the names of the fields, their order, and what they are when nothing was sent.
//!
//! A field is `NAME[=KEY][?]:KIND`; KEY is its key in JSON where that differs, `?` says that it
//! may be left out there. Kinds: `s` text, `t` time, `i` number, `b` truth, `a` anything, `*T` pointer,
//! `[T` list, `{T` map, or the name of another type. Brackets group fields of an embedded type.

/// A field of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) optional: bool,
    pub(super) kind: &'static str,
}

/// The fields of type `kind`; `None` when it is no type of its own.
pub(super) fn fields(kind: &str) -> Option<impl Iterator<Item = Named> + use<>> {
    let (_, fields) = SHAPES.iter().find(|(name, _)| *name == kind)?;
    Some(fields.split_ascii_whitespace().map(|field| {
        // A bracket is a field without a kind.
        let (name, kind) = field.split_once(':').unwrap_or((field, "a"));
        let (name, optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        let (name, key) = name.split_once('=').unwrap_or((name, name));
        let key = if kind == "a" && matches!(name, "(" | ")") { "" } else { key };
        Named { name, key, optional, kind }
    }))
}

const SHAPES: &[(&str, &str)] = &[
    (
        "Container",
        "ID=Id:s Created:s Path:s Args:[s State:*State Image:s ResolvConfPath:s HostnamePath:s \
         HostsPath:s LogPath:s Name:s RestartCount:i Driver:s Platform:s MountLabel:s \
         ProcessLabel:s AppArmorProfile:s ExecIDs:[s HostConfig:*HostConfig \
         GraphDriver:GraphDriver SizeRw?:*i SizeRootFs?:*i Mounts:[MountPoint Config:*Config \
         NetworkSettings:*NetworkSettings ImageManifestDescriptor?:*a",
    ),
    (
        "State",
        "Status:s Running:b Paused:b Restarting:b OOMKilled:b Dead:b Pid:i ExitCode:i Error:s \
         StartedAt:s FinishedAt:s Health?:*Health",
    ),
    ("Health", "Status:s FailingStreak:i Log:[HealthResult"),
    ("HealthResult", "Start:t End:t ExitCode:i Output:s"),
    ("GraphDriver", "Data:{s Name:s"),
    ("MountPoint", "Type?:s Name?:s Source:s Destination:s Driver?:s Mode:s RW:b Propagation:s"),
    (
        "Config",
        "Hostname:s Domainname:s User:s AttachStdin:b AttachStdout:b AttachStderr:b \
         ExposedPorts?:{Empty Tty:b OpenStdin:b StdinOnce:b Env:[s Cmd:[s \
         Healthcheck?:*HealthConfig ArgsEscaped?:b Image:s Volumes:{Empty WorkingDir:s \
         Entrypoint:[s NetworkDisabled?:b MacAddress?:s OnBuild:[s Labels:{s StopSignal?:s \
         StopTimeout?:*i Shell?:[s",
    ),
    ("Empty", ""),
    ("HealthConfig", "Test?:[s Interval?:i Timeout?:i StartPeriod?:i StartInterval?:i Retries?:i"),
    (
        "HostConfig",
        "Binds:[s ContainerIDFile:s LogConfig:LogConfig NetworkMode:s \
         PortBindings:{[PortBinding RestartPolicy:RestartPolicy AutoRemove:b VolumeDriver:s \
         VolumesFrom:[s ConsoleSize:[i Annotations?:{s CapAdd:[s CapDrop:[s CgroupnsMode:s \
         DNS=Dns:[s DNSOptions=DnsOptions:[s DNSSearch=DnsSearch:[s ExtraHosts:[s GroupAdd:[s \
         IpcMode:s Cgroup:s Links:[s OomScoreAdj:i PidMode:s Privileged:b PublishAllPorts:b \
         ReadonlyRootfs:b SecurityOpt:[s StorageOpt?:{s Tmpfs?:{s UTSMode:s UsernsMode:s \
         ShmSize:i Sysctls?:{s Runtime?:s Isolation:s ( CPUShares=CpuShares:i Memory:i \
         NanoCPUs=NanoCpus:i CgroupParent:s BlkioWeight:i BlkioWeightDevice:[WeightDevice \
         BlkioDeviceReadBps:[ThrottleDevice BlkioDeviceWriteBps:[ThrottleDevice \
         BlkioDeviceReadIOps:[ThrottleDevice BlkioDeviceWriteIOps:[ThrottleDevice \
         CPUPeriod=CpuPeriod:i CPUQuota=CpuQuota:i CPURealtimePeriod=CpuRealtimePeriod:i \
         CPURealtimeRuntime=CpuRealtimeRuntime:i CpusetCpus:s CpusetMems:s \
         Devices:[DeviceMapping DeviceCgroupRules:[s DeviceRequests:[DeviceRequest \
         KernelMemory?:i KernelMemoryTCP?:i MemoryReservation:i MemorySwap:i \
         MemorySwappiness:*i OomKillDisable:*b PidsLimit:*i Ulimits:[Ulimit CPUCount=CpuCount:i \
         CPUPercent=CpuPercent:i IOMaximumIOps:i IOMaximumBandwidth:i ) Mounts?:[a \
         MaskedPaths:[s ReadonlyPaths:[s Init?:*b",
    ),
    ("LogConfig", "Type:s Config:{s"),
    ("RestartPolicy", "Name:s MaximumRetryCount:i"),
    ("PortBinding", "HostIP=HostIp:s HostPort:s"),
    ("WeightDevice", "Path:s Weight:i"),
    ("ThrottleDevice", "Path:s Rate:i"),
    ("DeviceMapping", "PathOnHost:s PathInContainer:s CgroupPermissions:s"),
    ("DeviceRequest", "Driver:s Count:i DeviceIDs:[s Capabilities:[[s Options:{s"),
    ("Ulimit", "Name:s Hard:i Soft:i"),
    (
        "NetworkSettings",
        "( Bridge:s SandboxID:s SandboxKey:s Ports:{[PortBinding HairpinMode:b \
         LinkLocalIPv6Address:s LinkLocalIPv6PrefixLen:i SecondaryIPAddresses:[a \
         SecondaryIPv6Addresses:[a ) ( EndpointID:s Gateway:s GlobalIPv6Address:s \
         GlobalIPv6PrefixLen:i IPAddress:s IPPrefixLen:i IPv6Gateway:s MacAddress:s ) \
         Networks:{*Endpoint",
    ),
    (
        "Endpoint",
        "IPAMConfig:*EndpointIPAM Links:[s Aliases:[s MacAddress:s DriverOpts:{s GwPriority:i \
         NetworkID:s EndpointID:s Gateway:s IPAddress:s IPPrefixLen:i IPv6Gateway:s \
         GlobalIPv6Address:s GlobalIPv6PrefixLen:i DNSNames:[s",
    ),
    ("EndpointIPAM", "IPv4Address?:s IPv6Address?:s LinkLocalIPs?:[s"),
    (
        "Image",
        "ID=Id:s RepoTags:[s RepoDigests:[s Parent:s Comment:s Created?:s Container?:s \
         ContainerConfig?:*Config DockerVersion:s Author:s Config:*ImageConfig Architecture:s \
         Variant?:s Os:s OsVersion?:s Size:i VirtualSize?:i GraphDriver:GraphDriver \
         RootFS:RootFS Metadata:Metadata Descriptor?:*a Manifests?:[a",
    ),
    (
        "ImageConfig",
        "( User?:s ExposedPorts?:{Empty Env?:[s Entrypoint?:[s Cmd?:[s Volumes?:{Empty \
         WorkingDir?:s Labels?:{s StopSignal?:s ArgsEscaped?:b ) ( Healthcheck?:*HealthConfig \
         OnBuild?:[s Shell?:[s )",
    ),
    ("RootFS", "Type?:s Layers?:[s"),
    ("Metadata", "LastTagTime?:t"),
    (
        "Network",
        "Name:s ID=Id:s Created:t Scope:s Driver:s EnableIPv4:b EnableIPv6:b IPAM:IPAM \
         Internal:b Attachable:b Ingress:b ConfigFrom:ConfigFrom ConfigOnly:b \
         Containers:{NetworkEndpoint Options:{s Labels:{s",
    ),
    ("IPAM", "Driver:s Options:{s Config:[IPAMConfig"),
    ("IPAMConfig", "Subnet?:s IPRange?:s Gateway?:s AuxAddress=AuxiliaryAddresses?:{s"),
    ("ConfigFrom", "Network:s"),
    ("NetworkEndpoint", "Name:s EndpointID:s MacAddress:s IPv4Address:s IPv6Address:s"),
    (
        "Volume",
        "CreatedAt?:s Driver:s Labels:{s Mountpoint:s Name:s Options:{s Scope:s Status?:{a \
         UsageData?:*a",
    ),
    (
        "Event",
        "Status=status?:s ID=id?:s From=from?:s Type:s Action:s Actor:Actor Scope=scope?:s \
         Time=time?:i TimeNano=timeNano?:i",
    ),
    ("Actor", "ID:s Attributes:{s"),
    ("Versions", "Client:ClientVersion Server:*ServerVersion"),
    (
        "ClientVersion",
        "Platform?:*Platform Version:s APIVersion=ApiVersion:s DefaultAPIVersion?:s GitCommit:s \
         GoVersion:s Os:s Arch:s BuildTime?:s Context:s",
    ),
    ("Platform", "Name:s"),
    (
        "ServerVersion",
        "Platform:Platform Components?:[Component Version:s APIVersion=ApiVersion:s \
         MinAPIVersion?:s GitCommit:s GoVersion:s Os:s Arch:s KernelVersion?:s Experimental?:b \
         BuildTime?:s",
    ),
    ("Component", "Name:s Version:s Details?:{s"),
    (
        "Info",
        "( ID:s Containers:i ContainersRunning:i ContainersPaused:i ContainersStopped:i Images:i \
         Driver:s DriverStatus:[[s SystemStatus?:[[s Plugins:Plugins MemoryLimit:b SwapLimit:b \
         KernelMemory?:b KernelMemoryTCP?:b CPUCfsPeriod=CpuCfsPeriod:b \
         CPUCfsQuota=CpuCfsQuota:b CPUShares:b CPUSet:b PidsLimit:b IPv4Forwarding:b Debug:b \
         NFd:i OomKillDisable:b NGoroutines:i SystemTime:s LoggingDriver:s CgroupDriver:s \
         CgroupVersion?:s NEventsListener:i KernelVersion:s OperatingSystem:s OSVersion:s \
         OSType:s Architecture:s IndexServerAddress:s RegistryConfig:*Registry NCPU:i MemTotal:i \
         GenericResources:[a DockerRootDir:s HTTPProxy=HttpProxy:s HTTPSProxy=HttpsProxy:s \
         NoProxy:s Name:s Labels:[s ExperimentalBuild:b ServerVersion:s Runtimes:{Runtime \
         DefaultRuntime:s Swarm:Swarm LiveRestoreEnabled:b Isolation:s InitBinary:s \
         ContainerdCommit:Commit RuncCommit:Commit InitCommit:Commit SecurityOptions:[s \
         ProductLicense?:s DefaultAddressPools?:[a FirewallBackend?:*a CDISpecDirs:[s \
         DiscoveredDevices?:[a Containerd?:*a Warnings:[s ) ServerErrors?:[s \
         ClientInfo?:*ClientInfo",
    ),
    ("Plugins", "Volume:[s Network:[s Authorization:[s Log:[s"),
    (
        "Registry",
        "AllowNondistributableArtifactsCIDRs?:[s AllowNondistributableArtifactsHostnames?:[s \
         InsecureRegistryCIDRs:[s IndexConfigs:{a Mirrors:[s",
    ),
    (
        "Runtime",
        "( Path=path?:s Args=runtimeArgs?:[s Type=runtimeType?:s Options=options?:{a ) Status=status?:{s",
    ),
    (
        "Swarm",
        "NodeID:s NodeAddr:s LocalNodeState:s ControlAvailable:b Error:s RemoteManagers:[a \
         Nodes?:i Managers?:i Cluster?:*a Warnings?:[s",
    ),
    ("Commit", "ID:s Expected?:s"),
    (
        "ClientInfo",
        "Debug:b ( Platform?:*Platform Version?:s APIVersion=ApiVersion?:s \
         DefaultAPIVersion?:s GitCommit?:s GoVersion?:s Os?:s Arch?:s BuildTime?:s Context:s ) \
         Plugins:[a Warnings:[s",
    ),
    ("ContextInfo", "Name:s Metadata:{a Endpoints:{a TLSMaterial:{[s Storage:ContextStorage"),
    ("ContextStorage", "MetadataPath:s TLSPath:s"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known() {
        for (name, _) in SHAPES {
            let mut depth = 0;
            for field in fields(name).unwrap() {
                match field.name {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
                let kind = field.kind.trim_start_matches(['*', '[', '{']);
                let known = matches!(kind, "s" | "t" | "i" | "b" | "a") || fields(kind).is_some();
                assert!(known, "{name}.{}: {kind}", field.name);
            }
            assert_eq!(depth, 0, "{name}");
        }
        assert!(fields("*State").is_none() && fields("x").is_none());
        let id = fields("Container").unwrap().next().unwrap();
        assert_eq!((id.name, id.key, id.optional, id.kind), ("ID", "Id", false, "s"));
    }
}
