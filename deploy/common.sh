# shellcheck shell=bash
# What the two deployment scripts share. It is sourced, and does nothing by itself.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
settings=$repo/.env.relay

# Where the site goes: Debian's nginx has two folders, nginx's own packages have one.
available=/etc/nginx/sites-available/claude-distill-relay
enabled=/etc/nginx/sites-enabled/claude-distill-relay
if [[ ! -d /etc/nginx/sites-enabled ]]; then
	available=/etc/nginx/conf.d/claude-distill-relay.conf
	# shellcheck disable=SC2034 # For setup-nginx-relay.sh.
	enabled=$available
fi

# The URL by which clients come, for a check and for the next deployment: it outlives the site.
public=/etc/claude-distill-relay/public

# What the site that is there has for the directive $1; nothing where there is no site.
of_site() { sed -nE "s/^[[:space:]]*$1[[:space:]]+([^;]*);.*/\1/p" "$available" 2>/dev/null | head -n 1 || true; }

# The ports where the site that is there listens, each with ssl behind it or not. Certbot has its own way
# of writing them; one that is for a single address stays with it, which is none that we know.
site_listens() {
	local value
	{ sed -nE 's/^[[:space:]]*listen[[:space:]]+([^;]*);.*/\1/p' "$available" 2>/dev/null || true; } | while read -r value; do
		[[ $value =~ ^(\[::\]:|\*:|0\.0\.0\.0:)?([^ ]+)(.*) ]] || continue
		printf '%s%s\n' "${BASH_REMATCH[2]}" "$([[ " ${BASH_REMATCH[3]} " != *' ssl '* ]] || echo ' ssl')"
	done | sort -u
}

# Where the site is met: on its first port with TLS, or where it has none, its first one.
site_port() { site_listens | sort -k 2r -s | sed -n '1s/ .*//;1p'; }

# The name under which nginx serves the relay, or should, if one was ever given.
served_name() {
	local name
	name=$(of_site server_name)
	printf '%s' "${name:-$(sed -nE '1s|^wss://([^:/]+).*|\1|p' "$public" 2>/dev/null || true)}"
}

# Who listens on TCP port $1, as ss has it; nothing where there is no ss.
listeners() { PATH=$PATH:/usr/sbin:/sbin as_root ss -Hltnp "sport = :$1" 2>/dev/null || true; }

# The name and the number of a process in a line of that.
process_in() { sed -nE 's/.*users:\(\("([^"]*)",pid=([0-9]+).*/\1 (process \2)/p' <<<"$1" | head -n 1; }

current=start

# Announces a step; what became of it goes on the same line.
step() {
	current=$1
	printf '%-9s ' "$1"
}

# Ends the line of a step.
result() { printf '%s\n' "$*"; }

# Ends the script: what is wrong, and what to do next.
fail() {
	told=yes
	printf 'FAILED\n'
	printf 'error: %s\n' "$1" >&2
	printf 'next:  %s\n' "$2" >&2
	exit 1
}

# Says where the script ends with status $1, if that has not been said: a command has failed that
# nobody thought would. For the trap on EXIT.
tell_end() {
	(($1 == 0)) || [[ -n ${told-} ]] || fail "the step \"$current\" ended at a command that failed; what it said stands above" 'mend that, then run this again'
}

# Refuses a command line, before anything was done.
refuse() {
	printf 'error: %s\n' "$1" >&2
	printf 'usage: %s\n' "$USAGE" >&2
	exit 2
}

# Shows what a command that failed had to say.
show() { sed 's/^/  | /' "$1" >&2; }

have() { command -v "$1" >/dev/null; }

# Whether systemd runs this machine.
have_systemd() { [[ -d /run/systemd/system ]]; }

# Runs a command as root.
as_root() {
	if ((EUID == 0)); then "$@"; else sudo -- "$@"; fi
}

# Whether a text is the name of a host: letters, digits and hyphens between dots.
is_host_name() {
	local label='[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
	((${#1} <= 253)) && [[ $1 =~ ^($label\.)+$label$ && ${1##*.} == *[A-Za-z]* ]]
}

# Whether a text is a port number, written the plain way.
is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && (($1 <= 65535)); }

# The value that the file $settings gives to $1, or else $2. The relay reads such lines in the same way:
# blanks around the sign, quotes around the value, and a comment behind it.
setting() {
	local value='' begin='^[[:space:]]*(export[[:space:]]+)?'
	if [[ -e $settings ]]; then
		value=$(sed -nE "s/$begin$1[[:space:]]*=[[:space:]]*//p" "$settings" | tail -n 1 |
			sed -E "s/^#.*//; s/^\"([^\"]*)\".*/\1/; t; s/^'([^']*)'.*/\1/; t; s/[[:space:]].*//")
	fi
	printf '%s' "${value:-$2}"
}

# The same for a number; what is none, the relay will refuse.
number() {
	local value
	value=$(setting "$1" "$2")
	[[ $value =~ ^0*([1-9][0-9]{0,8})$ ]] && value=${BASH_REMATCH[1]} || value=$2
	printf '%s' "$value"
}

# Says it where the settings still have the longest message that earlier versions wrote there by themselves.
# Whoever has it may want it, so that nothing is changed.
warn_of_old_limit() {
	[[ $(setting RELAY_MAX_MSG_SIZE '') == 10485760 ]] || return 0
	step warning
	result "$settings has RELAY_MAX_MSG_SIZE=10485760, as earlier versions wrote it: longer shares are cut off; set it to 0 for the limits of today"
}

# Says it where the settings have access keys in full: the relay's copy of them is for everybody on this machine to
# read. The one named check is for programs of this machine.
warn_of_plain_keys() {
	local pair pairs in_full=()
	IFS=, read -ra pairs <<<"$(setting RELAY_ACCESS_KEYS '')"
	for pair in "${pairs[@]}"; do
		pair=${pair//[[:space:]]/}
		[[ $pair != ?*:?* || $pair == /* || $pair == *:[sS][hH][aA]256-* || $pair == check:* ]] || in_full+=("${pair%%:*}")
	done
	((${#in_full[@]} > 0)) || return 0
	step warning
	result "RELAY_ACCESS_KEYS in $settings has keys in full (${in_full[*]}), and everybody on this machine can read the relay's copy: write NAME:sha256-HEX in place of NAME:KEY, where printf %s KEY | sha256sum prints HEX"
}

# The seconds in a time, which may have units as in 1h30m; what is none, the relay will refuse.
seconds() {
	local rest total=0 factor
	rest=$(setting "$1" "$2")
	rest=${rest,,}
	[[ ! $rest =~ ^[0-9]+$ ]] || rest+=s
	while [[ $rest =~ ^0*([0-9]{1,9})([dhms])(.*)$ ]]; do
		rest=${BASH_REMATCH[3]}
		case ${BASH_REMATCH[2]} in d) factor=86400 ;; h) factor=3600 ;; m) factor=60 ;; s) factor=1 ;; esac
		total=$((total + 10#${BASH_REMATCH[1]} * factor))
	done
	[[ -z $rest ]] && ((total > 0)) || total=$2
	printf '%s' "$total"
}

# Prints each setting of .env.example that the file $1 lacks, with its comment.
lacking() {
	awk '
		{ name = $0; sub(/^[ \t]*(export[ \t]+)?/, "", name); is_setting = sub(/[ \t]*=.*/, "", name) && name ~ /^[A-Z_]+$/ }
		FILENAME == ARGV[1] { if (is_setting) known[name]; next }
		is_setting && !(name in known) { printf "%s%s\n", comment, $0 }
		{ comment = /^# / ? comment $0 "\n" : "" }
	' "$1" "$repo/.env.example"
}

# Writes standard input to the file $1 with mode $2, as root, in one go: whoever reads the file finds
# the old one or the new one. It is for the caller to open what is read, with the caller's own rights:
# root would also follow a link to what nobody else may read.
install_file() {
	as_root install -D -m "$2" /dev/stdin "$1.new" && as_root mv -fT "$1.new" "$1"
}

# Whether nobody but root can change what the path $1 leads to: all that is on the way is root's.
is_roots() {
	as_root namei -l -- "$1" | awk '
		/^f: / { next }
		$1 !~ /^[-dl]/ || $2 != "root" { bad = 1 }
		$1 ~ /^l/ || $1 ~ /[tT]$/ { next }
		(substr($1, 6, 1) == "w" && $3 != "root") || substr($1, 9, 1) == "w" { bad = 1 }
		END { exit bad }
	'
}
