# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Rules as the hook looks for them, by hand: a table of both families whose base chains have the names and hooks of
# nft/tables.nft, and one sandbox's element.

bridge=fluid0
firewall=/run/fluid/firewall
id=0123456789ab
mac=02:fd:0a:d5:00:02
address=10.213.0.2

write_tables() {
	mkdir -p $firewall/sandboxes
	cat > $firewall/ruleset.nft <<-END
		table bridge fluid
		delete table bridge fluid
		table inet fluid
		delete table inet fluid
		table bridge fluid {
			set pinned {
				typeof iifname . ether saddr . ip saddr
			}
			chain prerouting {
				type filter hook prerouting priority -300; policy accept;
				iifname "fl-*" iifname . ether saddr . ip saddr != @pinned drop
			}
			chain input {
				type filter hook input priority -300; policy accept;
				iifname "fl-*" drop
			}
			chain forward {
				type filter hook forward priority -300; policy accept;
				iifname "fl-*" drop
			}
			chain postrouting {
				type filter hook postrouting priority 300; policy accept;
				oifname "fl-*" ether type ip6 drop
			}
		}
		table inet fluid {
			chain from-bridge {
				drop
			}
			chain arriving {
				type filter hook prerouting priority raw; policy accept;
				iifname "fl-*" drop
			}
			chain input {
				type filter hook input priority filter; policy accept;
				iifname "$bridge" drop
			}
			chain forward {
				type filter hook forward priority filter; policy accept;
				iifname "$bridge" goto from-bridge
			}
			chain output {
				type filter hook output priority filter; policy accept;
				oifname "fl-*" drop
			}
		}
		include "$firewall/sandboxes/*.nft"
	END
}

write_sandbox() {
	echo "add element bridge fluid pinned { \"fl-$id\" . $mac . $address }" > $firewall/sandboxes/$id.nft
}

load_rules() { nft -f $firewall/ruleset.nft; }
are_loaded() { nft get element bridge fluid pinned "{ \"fl-$id\" . $mac . $address }" > /dev/null; }
