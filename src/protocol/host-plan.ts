import type {
  ApplianceId,
  EnsembleName,
  HostId,
  Ipv4Address,
  MacAddress,
  NetworkId,
  SiteName,
} from "#base/ids.ts";
import type { BitsPerSecond, Bytes, Millis } from "#base/units.ts";
import type {
  ApplianceKind,
  CpuRequest,
  Enforcement,
  FileSpec,
  MonitorSource,
  RestartPolicy,
  TeamSpec,
} from "#model/ensemble.ts";
import type { KeptInPlace } from "#model/checkpoint-chain.ts";
import type { Checkpoint, CheckpointCopies } from "#model/checkpoint.ts";
import type { Digest, Image, ImageSpec } from "#model/image.ts";
import type { JobSpec } from "#model/job.ts";
import type { TunnelKind } from "#model/topology.ts";
import type { VmSpec } from "#model/vm.ts";

/**
 * Desired state of one host. Always whole, never a difference: a host that missed ten of them needs only the
 * last. Ordered by (epoch, revision); a host obeys no older one than it has seen.
 */
export type HostPlan = {
  readonly host: HostId;
  readonly epoch: number;
  readonly revision: number;
  readonly appliances: readonly AppliancePlan[];
  readonly segments: readonly SegmentPlan[];
  /** Pairs shaped on this host's uplink: the sender is local. */
  readonly shapedPairs: readonly ShapedPair[];
  /** Only at a site's gateway. */
  readonly tunnels: readonly TunnelPlan[];
  /** Of appliances here, and of their traffic with other hosts. */
  readonly traffic?: readonly TrafficPlan[];
  readonly monitors?: readonly MonitorPlan[];
  /** To be kept on this host whether or not an appliance needs them now; others are removed when space is short. */
  readonly images?: readonly Image[];
  /** Images whose content this host is to bring into the cloud and look into. */
  readonly imports?: readonly ImportPlan[];
  /** Hosts that hold blobs, and what they ask of those who fetch them. */
  readonly blobs?: BlobsPlan;
  /** Programs to run in appliances that are here. */
  readonly jobs?: readonly JobPlan[];
  /** Checkpoints to be taken now, whatever their policies say: all of one group at the same moment. */
  readonly checkpoints?: readonly CheckpointPlan[];
  /** Places in stores outside the cloud that this host keeps checkpoints in, or is to empty. */
  readonly stores?: readonly StorePlan[];
};

/** A host that has brought all of it tells so as long as this is in its plan. */
export type ImportPlan = {
  /** Another one for every registration, also of the same name. */
  readonly id: string;
  readonly image: ImageSpec;
};

export type BlobsPlan = {
  readonly peers: readonly BlobPeerPlan[];
  readonly token: string;
  /** Besides those of images and of what appliances here begin from: not to be removed. */
  readonly keep?: readonly Digest[];
};

export type BlobPeerPlan = { readonly host: HostId; readonly address: Ipv4Address; readonly port: number };

/** One attempt: a host never begins the same attempt twice. */
export type JobPlan = {
  readonly id: string;
  readonly attempt: number;
  readonly job: JobSpec;
  readonly appliance: ApplianceId;
  /** It is to end now. */
  readonly cancelled?: true;
  /** It has begun, here or on a host that its machine has left: to be found in the appliance, and never begun. */
  readonly adopt?: true;
  /** It is over: only what it wrote is kept here. Never begun. */
  readonly over?: true;
};

/**
 * Of a group no machine goes on before all of them are paused: each host pauses its own and tells (CheckpointHold), and
 * when all hosts have told, all are told to go on. A host that is not told in time goes on by itself, and what it took
 * then belongs to no group.
 */
export type CheckpointPlan = {
  /** Of each checkpoint that is taken for it, too: a host takes none twice. */
  readonly id: string;
  readonly group?: string;
  /** Those that are on this host. */
  readonly appliances: readonly ApplianceId[];
  /** All of the group are: the host need not ask. */
  readonly isWhole?: true;
  /** All of the group are paused. */
  readonly goOn?: true;
  /** Once paused for it they do not go on, as long as this is asked for: they are to go on from it later. */
  readonly stays?: true;
};

/**
 * A place in a store, "s3://bucket/prefix/3f2a…": one host keeps checkpoints of one appliance there, and nobody else
 * writes below it, no other cloud either. So what is there and on no list is left over from something cut off.
 */
export type StorePlan = {
  readonly place: string;
  readonly appliance: ApplianceId;
  /** What the appliance's policy calls it. */
  readonly store: string;
  /** Name of the secret with its keys. */
  readonly credentials?: string;
  /** What the cluster manager knows to be there and needs; absent: nothing is needed any more, all of it is to go. */
  readonly keep?: KeptInPlace;
};

/** What a `vm` needs beside the rest; the images' content is on this host before it is created. */
export type VmPlan = Omit<VmSpec, "software"> & {
  readonly base: Image;
  readonly software: readonly Image[];
  /** Inside its guest, and in names. */
  readonly hostname: string;
  /**
   * What its guest's keys are made from, 32 bytes in hexadecimal: the same on every host it comes to. To be kept as
   * those keys are. Absent: its host draws its own. Not part of the generation.
   */
  readonly identity?: string;
  /** It begins from this one instead of from its images. Not part of the generation. */
  readonly restore?: {
    /** The one it goes on from, and those that one only differs from. */
    readonly checkpoints: readonly Checkpoint[];
    readonly copies: CheckpointCopies;
    /** From its disks as they were then, without its memory. */
    readonly cold?: true;
  };
  /** How far its move is (see MovePlan). Not part of the generation. */
  readonly move?: MovePlan;
};

/**
 * A live move, as each side is told of it. The leaving side serves its disks, the arriving side takes them from there
 * and reports where it listens; then the leaving side is told to send. Once it has reported that all is sent it never
 * continues, and only then does the arriving side: by the leaving side's own word, or by `go`. The leaving side serves
 * its disks until the arriving side has all of them.
 */
export type MovePlan =
  | {
      readonly side: "arriving";
      readonly move: string;
      /** Known to both sides, and to nobody else. */
      readonly token: string;
      readonly from: HostId;
      readonly fromAddress: Ipv4Address;
      /** Where the leaving side serves its disks, once it has told. */
      readonly disksPort?: number;
      /** The memory the leaving side's QEMU was started with, once it has told. */
      readonly bootMemoryBytes?: Bytes;
      /** The processors the leaving side's QEMU has, used or not, once it has told. */
      readonly processors?: number;
      /** When it was begun, on whatever host that was. */
      readonly startedAt?: Millis;
      /** The leaving side never continues: it has said so, or is fenced. */
      readonly go?: true;
    }
  | {
      readonly side: "leaving";
      readonly move: string;
      readonly token: string;
      readonly to: HostId;
      readonly toAddress: Ipv4Address;
      /** Where the arriving side listens, once it has told. */
      readonly statePort?: number;
      /** The arriving side can begin before it has all of the memory. */
      readonly postcopy?: true;
      /** Too late once all is sent. */
      readonly cancelled?: true;
      /** Also when all is sent: the other side failed before it ran, so the machine goes on here. */
      readonly back?: true;
    };

export type AppliancePlan = {
  readonly id: ApplianceId;
  readonly kind: ApplianceKind;
  /** Digest of all that needs a restart to change (command, env, files, image, interfaces); cpu and memory are resized live. */
  readonly generation: string;
  readonly image?: string;
  readonly vm?: VmPlan;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly FileSpec[];
  readonly directory?: string;
  readonly cpu?: CpuRequest;
  /** Changes while it runs. */
  readonly enforcement?: Enforcement;
  /** Their programs are part of the generation; what is reserved for them changes while it runs. */
  readonly teams?: readonly TeamSpec[];
  readonly memoryBytes?: Bytes;
  /** Held where it is. Changes while it runs. */
  readonly suspended?: true;
  readonly restart: RestartPolicy;
  readonly stopGraceMs: Millis;
  readonly interfaces: readonly InterfacePlan[];
  /** It runs only while the host's lease lasts: it may be started elsewhere afterwards. Changes while it runs. */
  readonly leased?: boolean;
  /** It may still run on another host: not to be made here before a later plan says so. What is here stays. */
  readonly held?: true;
};

/** One network interface inside an appliance. */
export type InterfacePlan = {
  /** "eth0", "eth1", … */
  readonly name: string;
  readonly network: NetworkId;
  readonly mac: MacAddress;
  readonly address: Ipv4Address;
  readonly prefixLength: number;
};

/** A logical layer-2 network of one ensemble, as far as this host needs it. */
export type SegmentPlan = {
  readonly network: NetworkId;
  /** VXLAN network identifier, unique in the cloud. */
  readonly vni: number;
  /** Of the appliances' interfaces; all hosts of a segment agree on it. */
  readonly mtu: number;
  /** Tunnel end points (underlay addresses) of the other hosts with members. */
  readonly peers: readonly Ipv4Address[];
  /** All members wherever they run: permitted pairs are any two of them with one here. */
  readonly members: readonly SegmentMember[];
  /** Who answers DHCP and DNS on it, on every host by itself. */
  readonly naming?: NamingPlan;
};

/** The same address and MAC on every host of the segment; frames to it never leave the host. */
export type NamingPlan = {
  readonly address: Ipv4Address;
  readonly mac: MacAddress;
  readonly prefixLength: number;
  /** "shop.consort": members are <name>.shop.consort. */
  readonly domain: string;
};

export type SegmentMember = {
  readonly appliance: ApplianceId;
  /** What it is called inside the ensemble. */
  readonly name: string;
  readonly mac: MacAddress;
  readonly address: Ipv4Address;
  readonly host: HostId;
  /** Underlay address of its host. */
  readonly hostAddress: Ipv4Address;
  /** It moves between its host and this one: frames for it go to both, and it answers from one of them. */
  readonly movesWith?: Ipv4Address;
};

/** Rates count Ethernet frames as the appliances see them; the network driver adds the tunnel's overhead. */
export type ShapedPair = {
  readonly network: NetworkId;
  readonly fromMac: MacAddress;
  readonly toMac: MacAddress;
  readonly rateBps: BitsPerSecond;
  /** Absent: up to the physical link. */
  readonly ceilingBps?: BitsPerSecond;
  /** 0 borrows first … 7 last. */
  readonly priority: number;
};

/**
 * What all traffic of one local appliance gets on this host's uplink, each way. Links of its own (shaped pairs) count
 * within it. Rates count Ethernet frames as the appliances see them.
 */
export type TrafficPlan = {
  readonly appliance: ApplianceId;
  readonly macs: readonly MacAddress[];
  readonly outBps?: BitsPerSecond;
  readonly inBps?: BitsPerSecond;
  readonly outCeilingBps?: BitsPerSecond;
  readonly inCeilingBps?: BitsPerSecond;
  /** 0 borrows first … 7 last. */
  readonly priority: number;
};

/** Runs here, as its appliance does; what it measures is told to the cluster manager as it comes. */
export type MonitorPlan = {
  readonly ensemble: EnsembleName;
  readonly name: string;
  readonly appliance: ApplianceId;
  readonly everyMs: Millis;
  readonly source: MonitorSource;
};

/** A tunnel from this site's gateway to another site's. */
export type TunnelPlan = {
  readonly peerSite: SiteName;
  readonly kind: Exclude<TunnelKind, "vxlan">;
  /** Reachable without the tunnel. */
  readonly peerAddress: Ipv4Address;
  /** Underlay networks of the peer site, in CIDR, reached through the tunnel. */
  readonly peerSubnets: readonly string[];
  readonly localPort: number;
  readonly peerPort: number;
  /** The tunnel's own /30 addresses. */
  readonly localTunnelAddress: Ipv4Address;
  readonly peerTunnelAddress: Ipv4Address;
  /** wireguard: the peer's public key, base64. */
  readonly peerPublicKey?: string;
  /** openvpn: a shared static key, in OpenVPN's own text format. */
  readonly sharedKey?: string;
  readonly mtu: number;
};

/** Plans are ordered by epoch, then revision. */
export function isOlder(
  a: Pick<HostPlan, "epoch" | "revision">,
  b: Pick<HostPlan, "epoch" | "revision">,
): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.revision < b.revision);
}
