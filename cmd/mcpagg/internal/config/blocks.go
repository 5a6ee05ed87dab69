package config

// The reference is made of the comments in this file, in authblocks.go and in
// policyblocks.go: those of the structs, with an example, and those of their fields.

// The configuration is one file, or several that are read as one.
//
//	upstream "files" {
//	  command = ["mcpagg", "dev", "upstream", "notes"]
//	}
type fileBlock struct {
	header
	Server     serverBlock     `hcl:"server,block"`
	Names      namesBlock      `hcl:"names,block"`
	Store      storeBlock      `hcl:"store,block"`
	Secrets    []secretsBlock  `hcl:"secrets,block" kinds:"env file exec vault azure_key_vault"`
	Auth       []authBlock     `hcl:"auth,block" kinds:"entra oidc"`
	Groups     []groupBlock    `hcl:"group,block"`
	Apps       []appBlock      `hcl:"app,block"`
	Containers containersBlock `hcl:"containers,block"`
	Defaults   defaultsBlock   `hcl:"defaults,block" label:"upstream"`
	Upstreams  []upstreamBlock `hcl:"upstream,block"`
	Policy     *policyBlock    `hcl:"policy,block"`
	Audit      []auditBlock    `hcl:"audit,block" kinds:"file"`
}

// Where the gateway listens and what it accepts.
//
//	server {
//	  listen          = "127.0.0.1:8080"
//	  admin           = "127.0.0.1:9090"
//	  allowed_origins = ["https://inspector.contoso.com"]
//
//	  limits {
//	    request_bytes = "1MiB"
//	  }
//	}
type serverBlock struct {
	header
	// The address that clients connect to, as host and port. Without an `auth`
	// block, this must be a loopback address.
	Listen address `hcl:"listen" default:"127.0.0.1:8080"`
	// The URL under which clients reach the gateway, where it differs from
	// `listen`, for instance behind a proxy. Where people sign in, all that clients
	// are told about that is built from it, so it must be an https URL without a
	// path, and can be left out only if `listen` is a loopback address.
	PublicURL publicURL `hcl:"public_url"`
	// The address of `/metrics` and `/health/ready`; without it, they are not
	// served. Nobody signs in there. Without an `auth` block, this must be a
	// loopback address.
	Admin address `hcl:"admin"`
	// The socket through which `mcpagg status` and `mcpagg reload` reach the
	// gateway, relative to the folder of the configuration file. Its folder is
	// made if need be; nobody but the gateway's user may enter it. Without it,
	// `run/mcpagg.sock` in `store.dir`.
	Socket socketPath `hcl:"socket"`
	// Whether the gateway looks for changes of its configuration files, and of
	// those that they read, and reloads by itself.
	Watch boolean `hcl:"watch" default:"true"`
	// How long calls in flight may take to finish when the gateway stops.
	Drain duration `hcl:"drain" default:"20s"`
	// The networks of proxies whose `X-Forwarded-For` is believed.
	TrustedProxies networks `hcl:"trusted_proxies"`
	// The web origins whose pages may use the gateway. Requests from other
	// pages are refused.
	AllowedOrigins webOrigins  `hcl:"allowed_origins"`
	Limits         limitsBlock `hcl:"limits,block"`
}

// What clients and upstreams may use at most.
//
//	limits {
//	  request_bytes    = "4MiB"
//	  response_bytes   = "16MiB"
//	  calls_per_minute = 600
//	}
type limitsBlock struct {
	header
	// The size of one request of a client.
	RequestBytes byteSize `hcl:"request_bytes" default:"4MiB"`
	// The size of one message of an upstream.
	ResponseBytes byteSize `hcl:"response_bytes" default:"16MiB"`
	// The sessions that one caller may have open at once; without it, any
	// number. Without sign-in, everybody is the same caller.
	SessionsPerUser count `hcl:"sessions_per_user"`
	// The tool calls of one caller in a minute; without it, any number.
	// Without sign-in, everybody is the same caller.
	CallsPerMinute count `hcl:"calls_per_minute"`
}

// How the names that clients see are made: the prefix of the upstream, the
// separator, and the upstream's own name of the tool or prompt.
//
//	names {
//	  max       = 60
//	  separator = "__"
//	}
type namesBlock struct {
	header
	// The longest name, from 16 to 128 characters. Longer names are shortened
	// and get a short hash. Model APIs take 64, and clients put something like
	// `mcp__gateway__` before the name.
	Max nameLength `hcl:"max" default:"50"`
	// What stands between prefix and name: up to four letters, digits, `_` or
	// `-`.
	Separator separator `hcl:"separator" default:"_"`
}

// What the gateway keeps on disk: what is blocked, the labels that callers have, and
// in the mode `broker` who is signed in. It is kept encrypted. A change of this block
// shows only after a restart.
//
//	store {
//	  dir = "/var/lib/mcpagg"
//	}
type storeBlock struct {
	header
	// A folder of the gateway's own, relative to that of the configuration
	// file; it is made if need be. Without it, the user's state folder:
	// `mcpagg` in `$XDG_STATE_HOME`, or else `/var/lib/mcpagg` for root and
	// `~/.local/state/mcpagg` for others.
	Dir storePath `hcl:"dir"`
	// What the key is made from with which all that is kept is encrypted, any text
	// of 32 characters or more that nobody can guess. Without it, the gateway makes
	// one, and keeps it beside what it encrypts, in the file `store.key`. Without its
	// key, what is kept is lost, and everybody signs in again. Secret.
	Key storeKey `hcl:"key"`
	// The key until lately, while what it encrypted is encrypted anew. Leave it
	// out again after that. Secret.
	PreviousKey storeKey `hcl:"previous_key"`
	// How often the gateway makes a new key to sign its tokens with, from a day to
	// two years. The one before counts until the last of its tokens has expired.
	// Without it, `2160h`, which is 90 days.
	RotateKeys rotation `hcl:"rotate_keys"`
}

// A place where secrets are kept, of the kind `env`, `file`, `exec`, `vault` or
// `azure_key_vault`, and under a name for it: `secret("kv", "github")` is then
// the secret `github` there. It is fetched when it is used; see
// [secrets](secrets.md) for the kinds and the names in them.
//
//	secrets "azure_key_vault" "kv" {
//	  url = "https://contoso-mcp.vault.azure.net"
//	  ttl = "15m"
//	}
//
//	secrets "file" "mounted" {
//	  dir = "/run/secrets"
//	}
type secretsBlock struct {
	header
	// How old a value may be when it is used.
	TTL duration `hcl:"ttl" default:"5m"`
	// For how much longer the last known value is used while the source cannot be
	// asked.
	MaxStale duration `hcl:"max_stale" default:"1h"`
	// How long fetching one secret may take.
	Timeout duration `hcl:"timeout" default:"5s"`

	// What stands before the names of the variables. Kind `env`.
	Prefix text `hcl:"prefix"`

	// The folder that holds each secret in a file, relative to the folder of the
	// configuration file. Kind `file`.
	Dir path `hcl:"dir"`

	// The program that prints a secret, and its arguments; the name of the secret
	// is added to them. Kind `exec`.
	Command command `hcl:"command"`
	// Environment variables of that program. Values are secret. Kind `exec`.
	Env environment `hcl:"env"`

	// The URL of the server. Kinds `vault` and `azure_key_vault`.
	URL secureURL `hcl:"url"`
	// A file with the certificates of the authorities to believe, in PEM, instead
	// of the system's. Kinds `vault` and `azure_key_vault`.
	CAFile authorities `hcl:"ca_file"`

	// The path of the key-value engine, version 2; without it, `secret`. Kind
	// `vault`.
	Mount vaultPath `hcl:"mount"`
	// The namespace in Vault Enterprise. Kind `vault`.
	Namespace vaultPath `hcl:"namespace"`
	// The gateway's token, instead of a login. Secret. Kind `vault`.
	Token      secret           `hcl:"token"`
	AppRole    *appRoleBlock    `hcl:"approle,block"`
	Kubernetes *kubernetesBlock `hcl:"kubernetes,block"`

	// The cloud that the vault is in. Without it, `global`. Kind
	// `azure_key_vault`.
	Cloud azureCloud `hcl:"cloud"`
	// The tenant of the application that the gateway is in Microsoft Entra. Kind
	// `azure_key_vault`.
	TenantID text `hcl:"tenant_id"`
	// The client id of that application, or of a managed identity. Kind
	// `azure_key_vault`.
	ClientID text `hcl:"client_id"`
	// The client secret of the application. Secret. Kind `azure_key_vault`.
	ClientSecret secret `hcl:"client_secret"`
	// The file with the application's certificate and private key, as PEM or
	// PKCS #12 without a password, relative to the folder of the configuration
	// file. Kind `azure_key_vault`.
	CertificateFile path `hcl:"certificate_file"`
	// The file with the token of a Kubernetes service account (workload
	// identity). Without any of the three, that in `AZURE_FEDERATED_TOKEN_FILE`,
	// and else the managed identity of the machine. Kind `azure_key_vault`.
	FederatedTokenFile path `hcl:"federated_token_file"`
}

// Logs in to Vault with a role id and a secret id.
//
//	approle {
//	  role_id   = "0b7a2f1c-0000-0000-0000-000000000000"
//	  secret_id = env("VAULT_SECRET_ID")
//	}
type appRoleBlock struct {
	header
	// The role id. Secret.
	RoleID secret `hcl:"role_id"`
	// The secret id. Secret.
	SecretID secret `hcl:"secret_id"`
	// The path of the auth method; without it, `approle`.
	Mount vaultPath `hcl:"mount"`
}

// Logs in to Vault with the service account of the pod that the gateway runs in.
//
//	kubernetes {
//	  role = "mcpagg"
//	}
type kubernetesBlock struct {
	header
	// The role in Vault.
	Role text `hcl:"role"`
	// The path of the auth method; without it, `kubernetes`.
	Mount vaultPath `hcl:"mount"`
	// The file with the token of the service account; without it,
	// `/var/run/secrets/kubernetes.io/serviceaccount/token`.
	TokenFile path `hcl:"token_file"`
}

// What all containers have in common.
//
//	containers {
//	  runtime = "podman"
//	  memory  = "64GiB"
//	}
type containersBlock struct {
	header
	// The engine that runs containers: `podman`, `docker`, or the path of
	// either. Without it, the first of these two on PATH.
	Runtime runtime `hcl:"runtime"`
	// What the containers of all upstreams may use together: the sum of their
	// limits. If there is no room for another one, the instance that was idle
	// for longest gives way; if all are in use, the call is refused. Without it,
	// any amount.
	Memory memorySize `hcl:"memory"`
}

// What all upstreams have that do not say otherwise.
//
//	defaults "upstream" {
//	  call_timeout = "2m"
//	}
type defaultsBlock struct {
	header
	bounds
}

// bounds are the attributes of an upstream that can have common defaults.
type bounds struct {
	// How long connecting and listing the tools may take.
	ConnectTimeout duration `hcl:"connect_timeout" default:"10s"`
	// How long one call may take.
	CallTimeout duration `hcl:"call_timeout" default:"60s"`
	// How long the tools of an upstream that is down stay listed.
	ToolsGrace duration `hcl:"tools_grace" default:"10m"`
	// How many instances, which are processes or connections, sessions and
	// callers may have of their own; see `isolation`. The one that was idle for
	// longest gives way to the next; if all are in use, the call is refused as
	// busy. Without it, 50 processes, or 1,000 connections to an HTTP server.
	MaxInstances count `hcl:"max_instances"`
	// How long such an instance is kept that nobody uses.
	IdleTimeout duration `hcl:"idle_timeout" default:"15m"`
	// Whether policies believe what tools say of themselves, such as that they only
	// read: with `hints` they do, and with `none` only where an override says so, or
	// the tool is as it was when somebody reviewed it (`mcpagg lock`).
	Trust trust `hcl:"trust" default:"none"`
	// With `observe` what policies deny here is let through, and said in the log and in
	// audit records.
	PolicyMode policyMode `hcl:"policy_mode" default:"enforce"`
	// What becomes of a tool that is no longer as `mcpagg lock` has it: `warn` says so,
	// with `distrust` policies do not believe what it says of itself any more, and
	// with `hide` nobody can use it until somebody has reviewed it.
	Drift drift `hcl:"drift" default:"distrust"`
	// What becomes of a call with an argument that the tool does not declare, where
	// policies look at its arguments: with `deny` it is refused.
	ExtraArguments extraArguments `hcl:"extra_arguments" default:"deny"`
}

// One MCP server behind the gateway, under a label of lower-case letters,
// digits and `-`. It is either a program, which the gateway starts and speaks
// to over stdio (`command`), an image, which it runs (`container`), or an HTTP
// server (`url`).
//
//	upstream "files" {
//	  command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"]
//	}
//
//	upstream "github" {
//	  url    = "https://api.githubcopilot.com/mcp/"
//	  token  = env("GITHUB_TOKEN")
//	  prefix = "gh"
//	}
type upstreamBlock struct {
	header
	// The program and its arguments. A name without `/` is looked up on PATH; a
	// relative path is relative to the folder of the configuration file.
	// `mcpagg` is this program itself. There is no shell in between.
	Command command `hcl:"command"`
	// Environment variables of the program, by name. It gets these, and the
	// gateway's own PATH, HOME and LANG. Values are secret.
	Env environment `hcl:"env"`
	// The working directory of the program, relative to the folder of the
	// configuration file. Without it, the gateway's own.
	Dir directory `hcl:"dir"`

	Container *containerBlock `hcl:"container,block"`

	// The MCP endpoint of an HTTP server.
	URL endpoint `hcl:"url"`
	// Headers of every request to the server, by name; `Host` replaces the host
	// of the URL. Values are secret. They also go to a container with a `port`.
	Headers headers `hcl:"headers"`
	// Sent to the server as `Authorization: Bearer`. Secret.
	Token secret `hcl:"token"`

	// What stands before the names of its tools and prompts, letters, digits,
	// `_` and `-`, beginning with a letter. Without it, the label; `""` adds
	// nothing.
	Prefix prefix `hcl:"prefix"`
	// The MCP revision to speak: `auto` finds out, `sse` is the old HTTP+SSE
	// transport.
	Protocol protocol `hcl:"protocol" default:"auto"`
	// Who shares a connection, or a process: `shared` is one for all clients,
	// `user` one for each caller, and `session` one for each session of a client
	// of the older revisions, and for each caller where the client speaks the
	// newest one, which has no sessions. Instances are dialled when they are
	// first needed. An upstream that is not shared can ask clients for input, and
	// what it logs reaches them. Where it is not given, HTTP upstreams of the
	// older revisions are isolated by session, and all others are shared. HTTP
	// servers that speak the newest revision only have nothing to isolate; those
	// that speak older ones as well are spoken to in one of these for a session.
	Isolation isolation `hcl:"isolation"`
	// What the upstream may ask clients for. Without it, that is elicitation
	// and roots; sampling, which spends the client's model, has to be listed.
	// What is listed is announced where tools are listed for all clients, too:
	// some servers have tools only for clients that can be asked.
	Requests requestKinds `hcl:"requests"`
	// Words to group upstreams by.
	Tags words `hcl:"tags"`
	bounds
	Tools toolsBlock `hcl:"tools,block"`
}

// An image that the gateway runs as the server, with podman or docker. It speaks
// MCP over stdio, as a `command` does, or over HTTP if there is a `port`.
//
// Whatever the image says, its processes have no capabilities and can get none,
// write to nothing but `/tmp` and what is mounted for it, have no network, and
// do not run as root. The container is removed when it ends.
//
//	container {
//	  image   = "docker.io/mcp/postgres:1.2"
//	  env     = { DATABASE_URL = "postgres://reader@db/stock" }
//	  mounts  = ["queries:/queries"]
//	  network = "db-only"
//	  memory  = "256MiB"
//	}
type containerBlock struct {
	header
	// The image, with its registry, and best with its digest: `mcpagg image pin`
	// writes that.
	Image image `hcl:"image"`
	// The arguments after the image. Without it, the image's own command.
	Args arguments `hcl:"args"`
	// The engine for this container; see `containers`.
	Runtime runtime `hcl:"runtime"`
	// Environment variables, by name. Values are secret: they are on no command
	// line. Whoever may inspect the engine's containers sees them, as root does.
	Env environment `hcl:"env"`
	// What of this machine is shown in the container, as `SOURCE:TARGET`, and
	// with `:rw` at the end where it may be written to. The source is a path,
	// relative to the folder of the configuration file if it begins with `./`
	// or `../`, or the name of a volume of the engine.
	Mounts mounts `hcl:"mounts"`
	// `none`, `egress`, which reaches what the block `egress` lists and nothing
	// else, `bridge`, which reaches whatever this machine reaches, or the name of
	// a network of the engine.
	Network network      `hcl:"network" default:"none"`
	Egress  *egressBlock `hcl:"egress,block"`
	// A permission profile of ToolHive, in place of `network`, `egress` and some
	// of `mounts`: `none`, `network`, or the path of a JSON file. What it says is
	// enforced as it stands; one that cannot be is a mistake.
	PermissionProfile permissionProfile `hcl:"permission_profile"`
	// What its processes may use together, swap included. A container that
	// needs more is killed.
	Memory memorySize `hcl:"memory" default:"512MiB"`
	// How many processes and threads there may be at once.
	Pids count `hcl:"pids" default:"256"`
	// How much of this machine's processors it may use: 1 is one of them.
	CPUs processors `hcl:"cpus" default:"1"`
	// The user to run as, with a group after `:` if it likes. Without it, the
	// image's user, or 65534 (nobody) if that is root.
	User user `hcl:"user"`
	// When the image is pulled: `missing` if it is not there, `always` each time
	// the container is started, or `never`.
	Pull pull `hcl:"pull" default:"missing"`
	// Where the server listens for HTTP inside the container, on all of its
	// addresses. It is published on a free port of this machine's loopback
	// address. Without it, the server speaks over stdio.
	Port port `hcl:"port"`
	// The path of the MCP endpoint at `port`. Without it, `/mcp`.
	Path urlPath `hcl:"path"`
}

// What a container with `network = "egress"` may connect to. Its programs find
// the gateway's own HTTPS proxy through `HTTPS_PROXY` and the like; there is no
// other way out, not even to name servers, and no way to this machine.
//
//	egress {
//	  allow = ["api.github.com:443", "*.atlassian.net:443", "10.20.0.0/16:5432"]
//	}
type egressBlock struct {
	header
	// The destinations, each with its port: the name of a host; `*.` and a
	// domain, for all hosts below it; an address or network. A name opens public
	// addresses only: where it leads to a private one, that must be listed, too.
	// An empty list allows nothing, and is for servers with a `port` that need
	// nothing.
	Allow destinations `hcl:"allow"`
}

// Which tools of the upstream are published, and how. Tools go by the
// upstream's own names here.
//
//	tools {
//	  allow = ["*"]
//	  deny  = ["delete_*"]
//
//	  override "create_issue" {
//	    name = "open_issue"
//	  }
//	}
type toolsBlock struct {
	header
	// The tools to publish, as patterns in which `*` is any text. Without it,
	// all.
	Allow globs `hcl:"allow"`
	// The tools not to publish, even if `allow` matches them.
	Deny      globs           `hcl:"deny"`
	Overrides []overrideBlock `hcl:"override,block"`
}

// Changes how one tool is published. The label is the upstream's own name of
// the tool.
//
//	override "create_issue" {
//	  name        = "open_issue"
//	  description = "Open an issue in one of our repositories."
//	}
type overrideBlock struct {
	header
	// Replaces the upstream's name of the tool, after the prefix.
	Name toolName `hcl:"name"`
	// Replaces the description that models read.
	Description text `hcl:"description"`
	// Words that whoever calls the tool has from then on, for as long as
	// `policy.labels_ttl` says: policies find them in `context.session.labels`.
	Labels      words            `hcl:"labels"`
	Annotations annotationsBlock `hcl:"annotations,block"`
	Arguments   argumentsBlock   `hcl:"arguments,block"`
}

// Replaces single hints that the tool gives about itself.
//
//	annotations {
//	  read_only = true
//	}
type annotationsBlock struct {
	header
	// It changes nothing (`readOnlyHint`).
	ReadOnly boolean `hcl:"read_only"`
	// It may destroy something (`destructiveHint`).
	Destructive boolean `hcl:"destructive"`
	// Calling it again with the same arguments changes nothing more
	// (`idempotentHint`).
	Idempotent boolean `hcl:"idempotent"`
	// It deals with things outside of the upstream, such as the web
	// (`openWorldHint`).
	OpenWorld boolean `hcl:"open_world"`
}

// Changes what clients send as arguments.
//
//	arguments {
//	  require = ["repo"]
//	  set     = { owner = "contoso" }
//	}
type argumentsBlock struct {
	header
	// Arguments that must be given, in addition to those that the tool itself
	// requires.
	Require words `hcl:"require"`
	// Arguments with a fixed value, by name. Clients neither see nor send them.
	Set jsonValues `hcl:"set"`
}
