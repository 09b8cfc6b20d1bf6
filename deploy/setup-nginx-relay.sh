#!/usr/bin/env bash
# Puts nginx in front of the relay: writes its site, enables it, tests the whole configuration and
# only then reloads. Where the test fails, the old site is put back.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"

logs=/var/log/claude-distill-relay
rotation=/etc/logrotate.d/claude-distill-relay

USAGE="${0##*/} [HOST] [PORT] [--rename] [--listen PORT] [--tls CERT KEY | --no-tls]
           [--nodes LIST] [--limits] [--print | --dry-run]
       ${0##*/} --remove

  HOST               the public name, such as relay.example.com (that of the site there is)
  PORT               where the relay listens on 127.0.0.1 (RELAY_PORT in .env.relay, or 9784)
  --rename           let HOST take the place of another name
  --listen PORT      where nginx listens (as before, at first 80, or 443 with --tls)
  --tls CERT KEY     serve TLS with this certificate chain and key, for a machine without a tunnel
  --no-tls           serve plain HTTP again, for a tunnel
  --nodes LIST       send clients to these relays as well, which are one with that of this machine: HOST:PORT,
                     with commas between them; none for this machine's alone again
  --limits           let nginx have the connections that RELAY_MAX_SESSIONS needs, in its nginx.conf
  --remove           remove the site, its logs and their rotation
  --print            print the site and do nothing else
  --dry-run          say what would be done and do nothing"

parse() {
	host='' port='' listen='' plain='' redirects='' certificate='' key='' no_tls='' limits='' rename='' nodes='' mode=install
	while (($#)); do
		case $1 in
		-h | --help)
			printf 'usage: %s\n' "$USAGE"
			exit
			;;
		--no-tls) no_tls=yes ;;
		--limits) limits=yes ;;
		--rename) rename=yes ;;
		--remove) mode=remove ;;
		--print) mode=print ;;
		--dry-run) mode=dry-run ;;
		--listen)
			(($# >= 2)) || refuse '--listen needs a port'
			listen=$2
			shift
			;;
		--nodes)
			(($# >= 2)) || refuse '--nodes needs a list'
			nodes=$2
			shift
			;;
		--tls)
			(($# >= 3)) || refuse '--tls needs two paths, of the certificate chain and of its key'
			certificate=$2 key=$3
			shift 2
			;;
		-*) refuse "no such option: $1" ;;
		*)
			if [[ -z $host ]]; then
				host=$1
			elif [[ -z $port ]]; then
				port=$1
			else
				refuse "one argument too many: $1"
			fi
			;;
		esac
		shift
	done
	served=$(served_name)
	if [[ $mode == remove ]]; then
		[[ -z $host ]] || refuse '--remove takes no name'
		return
	fi
	[[ -z $no_tls || -z $certificate ]] || refuse 'either --tls or --no-tls'
	# What was chosen once stays, until something else is.
	if [[ -z $no_tls && -z $certificate && -n $served ]]; then
		certificate=$(of_site ssl_certificate) key=$(of_site ssl_certificate_key)
		listen=${listen:-$(site_port)}
	fi
	[[ -n $nodes ]] || nodes=$(site_nodes)
	# So does what certbot has made of the port without TLS.
	if [[ -n $certificate ]] && site_listens | grep -q ssl; then
		plain=$(site_listens | grep -v ssl | head -n 1 || true)
		! grep -qE 'return 30[12] https://' "$available" || redirects=yes
	fi
	listen=${listen:-$([[ -n $certificate ]] && echo 443 || echo 80)}
	host=${host:-$served}
	local relay_port
	relay_port=$(setting RELAY_PORT "${port:-9784}")
	port=${port:-$relay_port}

	[[ -n $host ]] || refuse 'which host name? It is missing'
	is_host_name "$host" || refuse "not a host name such as relay.example.com: $host"
	is_port "$port" || refuse "not a port from 1 to 65535: $port"
	is_port "$listen" || refuse "not a port from 1 to 65535: $listen"
	[[ $plain != "$listen" ]] || plain=''
	[[ -z $plain ]] || is_port "$plain" || refuse "not a port from 1 to 65535, in $available: $plain"
	[[ $mode == print || $port == "$relay_port" ]] || refuse "nginx would find nobody on port $port: RELAY_PORT is $relay_port in $settings"
	((port != listen)) || refuse "nginx and the relay cannot both listen on port $port"
	host=${host,,}
	local path
	for path in ${certificate:+"$certificate" "$key"}; do
		[[ $path =~ ^/[A-Za-z0-9._/@+-]+$ ]] || refuse "not an absolute path of plain characters: $path"
	done
	parse_nodes
}

# The other relays that the site there is sends clients to, with commas between them.
site_nodes() { sed -nE 's/^[[:space:]]*server[[:space:]]+([^ ;]+) fail_timeout=.*/\1/p' "$available" 2>/dev/null | tail -n +2 | paste -sd , || true; }

# Makes a list of the text in $nodes.
parse_nodes() {
	local node
	[[ $nodes != none ]] || nodes=''
	IFS=, read -ra nodes <<<"$nodes"
	for node in "${nodes[@]}"; do
		if [[ ! $node =~ ^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]+)$ ]] || ! is_port "${BASH_REMATCH[2]}"; then
			refuse "not the address of a relay, such as 192.0.2.2:9784: $node"
		fi
	done
}

# The relays of the site, where there are several, on standard output.
upstream() {
	local node
	printf '%s\n' '# The relay is several machines. One that does not answer, or is about to stop, refuses nobody: whoever' \
		'# comes is sent to the next.' \
		'upstream claude_distill_relay {'
	for node in "127.0.0.1:$port" "${nodes[@]}"; do
		printf '    server %s fail_timeout=2s;\n' "$node"
	done
	printf '}\n'
}

# The lines that have nginx listen on port $1, with the options $2.
listens_on() {
	printf '    listen %s;\n' "$1$2"
	# Where the kernel has no IPv6, nginx would refuse to start.
	[[ ! -e /proc/net/if_inet6 ]] || printf '    listen %s;\n' "[::]:$1$2"
}

# The site, on standard output.
site() {
	local text listens
	listens=$(listens_on "$listen" "${certificate:+ ssl}")$'\n'
	[[ -z $plain || -n $redirects ]] || listens+=$(listens_on "$plain" '')$'\n'
	if [[ -n $certificate ]]; then
		listens+="    ssl_certificate $certificate;"$'\n'
		listens+="    ssl_certificate_key $key;"$'\n'
		listens+='    ssl_protocols TLSv1.2 TLSv1.3;'$'\n'
	fi
	text=$(<"$here/nginx-relay.conf.template")
	text=${text//@LISTEN@/${listens%$'\n'}}
	if ((${#nodes[@]} > 0)); then
		text=${text//@NODES@/$(upstream)$'\n'}
		text=${text//@NEXT@/        proxy_next_upstream error timeout http_503;}
		text=${text//@RELAY@/claude_distill_relay}
	else
		text=${text//@NODES@$'\n'/}
		text=${text//@NEXT@$'\n'/}
		text=${text//@RELAY@/127.0.0.1:$port}
	fi
	text=${text//@HOST@/$host}
	text=${text//@LOGS@/$logs}
	text=${text//@STALL@/$((2 * $(seconds RELAY_STALL_TIMEOUT 60)))}
	[[ -z $header_timeout_is_set ]] || text=$(sed '/^client_header_timeout /d' <<<"$text")
	printf '%s\n' "${text//@PORT@/$port}"
	[[ -z $plain || -z $redirects ]] || printf '%s\n' '' \
		'# Who comes without TLS is sent to it.' \
		'server {' \
		"$(listens_on "$plain" '')" \
		"    server_name $host;" \
		'    server_tokens off;' \
		'    access_log off;' \
		"    return 301 https://$host$([[ $listen == 443 ]] || echo ":$listen")\$request_uri;" \
		'}'
}

is_enabled() { [[ $enabled == "$available" || $enabled -ef $available ]]; }

enable() { is_enabled || as_root ln -sfnT "$available" "$enabled"; }

# Tests the configuration; what nginx says goes to $log. Of two sites for one name nginx only warns,
# and then ignores one of them.
config_is_good() {
	as_root nginx -t >"$log" 2>&1 && ! grep -q "conflicting server name \"$host\"" "$log"
}

# A folder for the logs, and logs that only an administrator may read.
make_logs() {
	local name
	as_root install -d -m 755 "$logs"
	for name in access error; do
		as_root test -e "$logs/$name.log" || as_root install -m 640 -g adm /dev/null "$logs/$name.log"
	done
}

# Has logrotate keep the logs short, where it is installed.
rotate_logs() {
	step logs
	if [[ ! -d ${rotation%/*} ]]; then
		result "$logs grows for ever: there is no logrotate"
	elif cmp -s "$here/logrotate.conf" "$rotation"; then
		result "unchanged: $rotation"
	else
		install_file "$rotation" 644 <"$here/logrotate.conf"
		result "$logs, kept short by $rotation"
	fi
}

# Before anything is written: a name that is served is not taken offline in passing, and a port that is
# somebody else's is of no use.
check_name_and_port() {
	local holder
	if [[ -n $served && $host != "$served" ]]; then
		step name
		[[ -n $rename ]] || fail "nginx serves the relay as $served, which would be offline then" \
			"to keep that name: ${0##*/} without a name; to have $host in its place: --rename"
		result "$host, in the place of $served"
	fi
	[[ $mode == install ]] || return 0
	holder=$(process_in "$(listeners "$listen" | grep -v '"nginx"')")
	if [[ -n $holder ]]; then
		step port
		fail "port $listen is taken by $holder" "stop that one, or choose another port with --listen; who it is: sudo ss -ltnp 'sport = :$listen'"
	fi
}

# Removes all that this script has written, but for the limits in nginx.conf.
remove_site() {
	step site
	if [[ ! -e $available && ! -L $enabled && ! -e $logs && ! -e $rotation && ! -e $public ]]; then
		result 'there is none'
		return
	fi
	if [[ -e $available ]] && ! grep -q 'Written by setup-nginx-relay.sh' "$available"; then
		result "$available is not ours, and stays"
		return
	fi
	as_root rm -f "$enabled" "$available" "$rotation" "$public"
	as_root rm -rf "$logs"
	[[ ! -d ${public%/*} ]] || as_root rmdir --ignore-fail-on-non-empty "${public%/*}"
	if have_systemd && systemctl --quiet is-active nginx; then
		reload_nginx || {
			show "$log"
			fail 'the site was removed, but nginx still serves it' 'sudo nginx -t; mend what it names, then sudo systemctl reload nginx'
		}
	fi
	result "removed${served:+: $served}"
	[[ ! -e $available.before ]] || result "          the site before ours stays: $available.before"
	[[ ! -e /etc/nginx/nginx.conf.before-limits ]] || result "          nginx.conf keeps its larger limits; before them it was /etc/nginx/nginx.conf.before-limits"
}

write_site() {
	local path
	step site
	for path in ${certificate:+"$certificate" "$key"}; do
		as_root test -f "$path" || fail "there is no file $path" 'give --tls the paths of the certificate chain and of its key'
		is_roots "$path" || fail "somebody else than root can put another file in the place of $path, and nginx reads it as root" \
			"let root have it: sudo install -D -m 600 $path /etc/nginx/tls/${path##*/}; then give --tls that path"
	done
	# That of the last run, if that is all that is between them.
	header_timeout_is_set=yes
	site >"$work/new"
	if ! cmp -s "$work/new" "$available"; then
		header_timeout_is_set=''
		site >"$work/new"
	fi
	if cmp -s "$work/new" "$available" && is_enabled; then
		result "unchanged: $available"
		return
	fi
	if [[ $mode == dry-run ]]; then
		result "would write $available for $host, enable it, test it, and reload nginx"
		return
	fi
	changed=yes
	[[ ! -e $available ]] || cp "$available" "$work/old"
	! is_enabled || touch "$work/was-enabled"
	unproven=yes
	make_logs
	# A site of another relay's that has the same name is what leads back to that one.
	if [[ -e $work/old ]] && ! grep -q 'Written by setup-nginx-relay.sh' "$work/old"; then
		install_file "$available.before" 644 <"$work/old"
	fi
	install_file "$available" 644 <"$work/new"
	enable
	result "$host, port $listen to 127.0.0.1:$port${nodes[0]+$(printf ', %s' "${nodes[@]}")}: $available"
}

# Prints the number of each process in which nginx takes connections. Those that a reload has
# replaced say in their title that they are shutting down.
workers() {
	local main children
	main=$(systemctl show --value -p MainPID nginx)
	# shellcheck disable=SC2016 # It is for root to see which processes there are.
	mapfile -t children < <(as_root sh -c 'grep -lsx "PPid:[[:space:]]*$0" /proc/[0-9]*/status' "$main")
	as_root grep -lszx 'nginx: worker process' /dev/null "${children[@]/%status/cmdline}" | tr -dc '0-9\n'
}

# Reloads nginx and waits until it has: to systemd a reload is a signal sent, and until nginx has acted
# on it, it is the old configuration that answers. One that nginx then cannot use, as its port is
# taken, is not found by a test: it only stays with the old one.
reload_nginx() {
	local old new
	old=$(workers) reloaded=yes
	as_root systemctl reload nginx >"$log" 2>&1 || return
	for _ in {1..100}; do
		new=$(workers)
		if [[ -n $new ]] && ! grep -qxFf <(printf '%s\n' "$old") <<<"$new"; then
			return 0
		fi
		sleep 0.1
	done
	as_root tail -n 5 /var/log/nginx/error.log >"$log" 2>&1 || true
	return 1
}

# Puts back what was there before write_site.
restore() {
	unproven=''
	[[ -e $work/was-enabled ]] || as_root rm -f "$enabled"
	if [[ -e $work/old ]]; then
		install_file "$available" 644 <"$work/old"
	else
		as_root rm -f "$available"
		as_root rm -rf "$logs"
	fi
	# It may have been about to take over what has gone now.
	[[ -z $reloaded ]] || as_root systemctl reload nginx || true
}

# However the script ends, no site stays that was not found good.
clean_up() {
	local status=$?
	[[ -z $unproven ]] || restore
	rm -rf "$work"
	tell_end "$status"
}

test_config() {
	step test
	if ! config_is_good && [[ -n $unproven ]] && grep -q '"client_header_timeout" directive is duplicate' "$log"; then
		# Somebody else has decided on it, for all sites.
		header_timeout_is_set=yes
		site | install_file "$available" 644
	fi
	if config_is_good; then
		result 'nginx finds its configuration good'
		return
	fi
	[[ -z $unproven ]] || restore
	show "$log"
	if grep -q 'conflicting server name' "$log"; then
		fail "another site of this nginx serves $host${changed:+; ours was taken back}" \
			"disable that one: grep -Rlw $host --exclude 'claude-distill-relay*' /etc/nginx/sites-enabled/ /etc/nginx/conf.d/"
	elif [[ -n $changed ]] && ! config_is_good; then
		fail 'nginx finds its configuration bad, and did so before; the site was put back as it was' \
			'mend what nginx names above until "sudo nginx -t" is content, then run this again'
	elif [[ -n $changed ]]; then
		fail 'nginx finds the new site bad; the old state was put back' 'mend what nginx names above, then run this again'
	fi
	fail 'nginx finds its configuration bad, but not for what this script wrote' \
		'mend what nginx names above until "sudo nginx -t" is content'
}

reload() {
	step reload
	if ! have_systemd; then
		result 'skipped: systemd does not run here; start or reload nginx yourself'
	elif ! systemctl --quiet is-active nginx; then
		as_root systemctl --quiet enable --now nginx >"$log" 2>&1 || {
			show "$log"
			fail "nginx does not start${changed:+; the site was put back as it was}" "journalctl -u nginx -n 20; is port $listen taken? sudo ss -ltnp 'sport = :$listen'"
		}
		result 'nginx was started'
	elif [[ -n $changed ]]; then
		reload_nginx || {
			show "$log"
			fail 'nginx does not take the new site over; it was put back as it was' \
				"journalctl -u nginx -n 20; is port $listen taken? sudo ss -ltnp 'sport = :$listen'"
		}
		result 'nginx serves the site'
	else
		result 'not needed: nothing has changed'
	fi
	unproven=''
}

# Writes down by which URL clients come, where a check and the next deployment find it, whatever becomes
# of the site. Without TLS here it is a tunnel's, which brings its own.
remember() {
	local url=wss://$host
	[[ -z $certificate || $listen == 443 ]] || url+=:$listen
	cmp -s - "$public" <<<"$url" || install_file "$public" 644 <<<"$url"
}

# Whether nginx can hold the sessions that the relay can, as its configuration stands and, if it runs,
# as it was started. Sets what it can, in connections and in open files of one of its processes, and
# what it would have to.
compare_limits() {
	local config worker
	sessions=$(number RELAY_MAX_SESSIONS 10000)
	# A session has one connection to the client and one to the relay, and all of them may fall to one
	# process. The rest is for other sites, and for those whom nginx only has to refuse.
	connections_needed=$((2 * sessions + 512))
	files_needed=$((connections_needed + 512))
	config=$(as_root nginx -T 2>"$log")
	connections=$(sed -nE 's/^[^#]*\bworker_connections[[:space:]]+([0-9]+);.*/\1/p' <<<"$config" | tail -n 1)
	connections=${connections:-512}
	files=$(sed -nE 's/^[^#]*\bworker_rlimit_nofile[[:space:]]+([0-9]+);.*/\1/p' <<<"$config" | tail -n 1)
	# What it really got, where it runs.
	worker=$(! have_systemd || workers | tail -n 1)
	if [[ -n $worker ]]; then
		files=$(awk '/^Max open files/ { print $4 }' "/proc/$worker/limits")
	fi
	files=${files:-1024}
	((connections >= connections_needed && files >= connections_needed))
}

# Writes nginx.conf with the connections and files that are needed, on standard output.
with_limits() {
	awk -v connections="$connections_needed" -v files="$files_needed" '
		/^[ \t]*worker_rlimit_nofile[ \t]/ { next }
		/^[ \t]*events[ \t]*(\{|$)/ { printf "worker_rlimit_nofile %d;\n", files }
		{
			sub(/worker_connections[ \t]+[0-9]+;/, "worker_connections " connections ";")
			print
		}
	' "$1"
}

# Has nginx hold as many sessions as the relay, or says that it does not.
set_limits() {
	local conf=/etc/nginx/nginx.conf holds
	step limits
	if compare_limits; then
		result "nginx can hold the $sessions sessions of RELAY_MAX_SESSIONS"
		return
	fi
	holds=$(((connections < files ? connections : files) / 2))
	if [[ -z $limits ]]; then
		result "nginx may be full at $holds sessions (worker_connections $connections, open files $files), and RELAY_MAX_SESSIONS is $sessions"
		result "next:     $0 --limits, which raises them to $connections_needed and $files_needed in $conf; or a lower RELAY_MAX_SESSIONS"
		return
	fi
	cp "$conf" "$work/nginx.conf"
	with_limits "$work/nginx.conf" | install_file "$conf" 644
	if cmp -s "$work/nginx.conf" "$conf" || ! as_root nginx -t >"$log" 2>&1; then
		install_file "$conf" 644 <"$work/nginx.conf"
		show "$log"
		fail "nginx does not take worker_connections $connections_needed and worker_rlimit_nofile $files_needed; $conf is as it was" 'set them there in your own way, then run this again'
	fi
	# The first one is what was there before us.
	[[ -e $conf.before-limits ]] || install_file "$conf.before-limits" 644 <"$work/nginx.conf"
	if have_systemd && ! reload_nginx; then
		show "$log"
		fail "nginx does not take $conf over" 'journalctl -u nginx -n 20'
	fi
	if ! compare_limits; then
		fail "nginx still has worker_connections $connections and $files open files" "journalctl -u nginx -n 20; may this machine open so many? systemctl show -p LimitNOFILE nginx; or a lower RELAY_MAX_SESSIONS"
	fi
	result "nginx can hold $sessions sessions now: $conf (as it was: $conf.before-limits)"
}

main() {
	parse "$@"
	header_timeout_is_set=''
	if [[ $mode == print ]]; then
		site
		return
	fi

	PATH=$PATH:/usr/sbin:/sbin
	work=$(mktemp -d) log=$work/log changed='' unproven='' reloaded=''
	trap clean_up EXIT
	trap 'told=yes; exit 130' HUP INT TERM
	if [[ $mode == remove ]]; then
		remove_site
		return
	fi

	step nginx
	have nginx || fail 'nginx is not installed' 'sudo apt-get install -y nginx-light; then run this again'
	result "$(nginx -v 2>&1)"

	check_name_and_port
	write_site
	[[ $mode != dry-run ]] || return 0
	test_config
	reload
	remember
	rotate_logs
	set_limits
}

main "$@"
