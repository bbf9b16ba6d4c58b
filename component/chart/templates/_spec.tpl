{{/*
Made by `npm run generate`. What component/address and agent/config/config.ts know of right values: the sentences, the words, the patterns, and the reserved
addresses as their first and last one in hexadecimal.
*/}}
{{- define "magic-ip-address.spec" -}}
{
 "sentences": {
  "ipv4": "\"⟦1⟧\" is not an IPv4 address: write four numbers 0–255, as 169.254.210.210",
  "ipv6": "\"⟦1⟧\" is not an IPv6 address: write up to eight groups of hexadecimal digits, as fd00:210::210",
  "ipv6Zone": "\"⟦1⟧\" is not an IPv6 address: write up to eight groups of hexadecimal digits without a zone, as fd00:210::210",
  "reservedIpv4": "⟦1⟧ is reserved for ⟦2⟧: choose another, as 169.254.210.210",
  "reservedIpv6": "⟦1⟧ is reserved for ⟦2⟧: choose another, as fd00:210::210",
  "twoIpv6": "⟦1⟧ is set beside ipAddress ⟦2⟧, which is an IPv6 address already: leave one of them out, or write an IPv4 address there",
  "cidr": "\"⟦1⟧\" is not a CIDR: write address/bits, as 169.254.210.0/24 or fd00:210::/32",
  "cidrOfIpv4": "\"⟦1⟧\" is not a CIDR: write address/bits, as ⟦1⟧/32 for this address only",
  "cidrOfIpv6": "\"⟦1⟧\" is not a CIDR: write address/bits, as ⟦1⟧/128 for this address only",
  "cidrFirst": "\"⟦1⟧\" is not the first address of its block: write ⟦2⟧",
  "notAllowed": "⟦1⟧ is in none of the allowedCidrs: choose an address in ⟦2⟧",
  "selectorEmpty": "is empty: it would select every pod: write it as for kubectl -l, as app=dd-agent",
  "selectorComma": "has nothing between two commas in \"⟦1⟧\": write it as for kubectl -l, as app=dd-agent",
  "selectorPart": "has a part that is no requirement: \"⟦1⟧\" (write key=value, key in (a,b), key or !key): write it as for kubectl -l, as app=dd-agent",
  "selectorOrder": "has \"⟦1⟧\": > and < are not served (write key=value, key in (a,b), key or !key): write it as for kubectl -l, as app=dd-agent",
  "selectorKey": "has \"⟦1⟧\", which is no label key (letters, digits, \"-\", \"_\", \".\", with an optional DNS prefix and \"/\"): write it as for kubectl -l, as app=dd-agent",
  "selectorValue": "has \"⟦1⟧\", which is no label value (at most 63 letters, digits, \"-\", \"_\", \".\", alphanumeric at both ends): write it as for kubectl -l, as app=dd-agent",
  "port": "⟦1⟧ is not a port: write a whole number from 1 to 65535",
  "endPort": "⟦1⟧ is less than port ⟦2⟧: write the last port of the range, ⟦2⟧ to 65535",
  "targetPortOfRange": "⟦1⟧ is set beside endPort ⟦2⟧: a range keeps its port numbers, so leave the target port out",
  "targetPort": "\"⟦1⟧\" is neither a port number from 1 to 65535 nor the name of a container port, as apm",
  "protocol": "\"⟦1⟧\" is not a protocol: write TCP, UDP or SCTP",
  "portName": "\"⟦1⟧\" is no port name: at most 15 lower-case letters, digits and \"-\", with a letter, as apm",
  "portNameTaken": "\"⟦1⟧\" is the name of ⟦2⟧ too: names are unique within an address",
  "portTaken": "⟦1⟧ is taken by ⟦2⟧: a port can lead to one target only",
  "ipTaken": "⟦1⟧ is taken by ⟦2⟧, which has no ports either: list the ports of one of them, or choose another address",
  "addresses": "is empty: at least one address is needed",
  "textMissing": "is missing: a string is needed",
  "numberMissing": "is missing: a number is needed",
  "namespace": "\"⟦1⟧\" is no namespace: at most 63 lower-case letters, digits and \"-\", as monitoring",
  "whenNoTarget": "\"⟦1⟧\" is no answer to clients: write Reject, Drop or Pass",
  "notWhole": "⟦1⟧ is the wrong kind of value: a whole number is needed",
  "tooSmall": "⟦1⟧ is too small: at least ⟦2⟧",
  "tooBig": "⟦1⟧ is too big: at most ⟦2⟧",
  "metricsPort": "⟦1⟧ is the healthPort: choose another",
  "backend": "\"⟦1⟧\" is not known: write auto, nftables or iptables",
  "masquerade": "\"⟦1⟧\" is not known: write auto or always",
  "publicAddress": "⟦1⟧ is a public address, and no pod reaches the host on the internet any more that has it: choose a link-local or unique local address, as 169.254.210.210 or fd00:210::210",
  "addressOfServices": "⟦1⟧ lies in the usual range of Services, ⟦2⟧, and a Service may get it: choose a link-local or unique local address, as 169.254.210.210 or fd00:210::210",
  "image": "⟦1⟧ is no image: write repository[:tag][@sha256:digest], as magic-ip-address-agent:0.1.0",
  "pullPolicy": "\"⟦1⟧\" is no pull policy: write Always, IfNotPresent or Never",
  "updateStrategy": "\"⟦1⟧\" is no update strategy: write RollingUpdate or OnDelete",
  "maxUnavailable": "⟦1⟧ is no number of nodes: write one, from 1, or a share of them, as 10%"
 },
 "words": {
  "backend": [
   "auto",
   "nftables",
   "iptables"
  ],
  "masquerade": [
   "auto",
   "always"
  ],
  "protocol": [
   "TCP",
   "UDP",
   "SCTP"
  ],
  "pullPolicy": [
   "Always",
   "IfNotPresent",
   "Never"
  ],
  "updateStrategy": [
   "RollingUpdate",
   "OnDelete"
  ],
  "whenNoTarget": [
   "Reject",
   "Drop",
   "Pass"
  ]
 },
 "patterns": {
  "dnsSubdomain": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
  "label": "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
  "namespace": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
  "portName": "^([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$",
  "portNameLength": 15
 },
 "reservations": [
  {
   "first": "a9fea9fe",
   "last": "a9fea9fe",
   "owner": "the cloud's instance metadata service"
  },
  {
   "first": "a9fea9fd",
   "last": "a9fea9fd",
   "owner": "Amazon's DNS resolver"
  },
  {
   "first": "a9fea9fc",
   "last": "a9fea9fc",
   "owner": "the GKE metadata server"
  },
  {
   "first": "a9fea97b",
   "last": "a9fea97b",
   "owner": "Amazon's time server"
  },
  {
   "first": "a9feaa02",
   "last": "a9feaa02",
   "owner": "Amazon ECS task credentials"
  },
  {
   "first": "a9feaa17",
   "last": "a9feaa17",
   "owner": "the EKS Pod Identity Agent"
  },
  {
   "first": "a9fe140a",
   "last": "a9fe140a",
   "owner": "NodeLocal DNSCache"
  },
  {
   "first": "a9fe190a",
   "last": "a9fe190a",
   "owner": "kubespray's NodeLocal DNSCache"
  },
  {
   "first": "a9fe0101",
   "last": "a9fe0101",
   "owner": "the pods' gateway of Calico and the AWS VPC CNI"
  },
  {
   "first": "a9fe746c",
   "last": "a9fe746c",
   "owner": "Talos' host DNS"
  },
  {
   "first": "a9fe2a2a",
   "last": "a9fe2a2a",
   "owner": "Scaleway's instance metadata service"
  },
  {
   "first": "a9fe0017",
   "last": "a9fe0017",
   "owner": "Tencent Cloud's instance metadata service"
  },
  {
   "first": "646464c8",
   "last": "646464c8",
   "owner": "Alibaba Cloud's instance metadata service"
  },
  {
   "first": "a83f8110",
   "last": "a83f8110",
   "owner": "Azure's platform service"
  },
  {
   "first": "a9fe0000",
   "last": "a9fe00ff",
   "owner": "RFC 3927 (the first /24 of link-local)"
  },
  {
   "first": "a9feff00",
   "last": "a9feffff",
   "owner": "RFC 3927 (the last /24 of link-local)"
  },
  {
   "first": "7f000000",
   "last": "7fffffff",
   "owner": "loopback: every pod has its own"
  },
  {
   "first": "00000000",
   "last": "00ffffff",
   "owner": "\"this network\""
  },
  {
   "first": "e0000000",
   "last": "efffffff",
   "owner": "multicast"
  },
  {
   "first": "f0000000",
   "last": "ffffffff",
   "owner": "reserved and broadcast addresses"
  },
  {
   "first": "fd000ec2000000000000000000000254",
   "last": "fd000ec2000000000000000000000254",
   "owner": "Amazon's instance metadata service"
  },
  {
   "first": "fd000ec2000000000000000000000253",
   "last": "fd000ec2000000000000000000000253",
   "owner": "Amazon's DNS resolver"
  },
  {
   "first": "fd000ec2000000000000000000000123",
   "last": "fd000ec2000000000000000000000123",
   "owner": "Amazon's time server"
  },
  {
   "first": "fd000ec2000000000000000000000023",
   "last": "fd000ec2000000000000000000000023",
   "owner": "the EKS Pod Identity Agent"
  },
  {
   "first": "fd2000ce000000000000000000000254",
   "last": "fd2000ce000000000000000000000254",
   "owner": "Google Cloud's instance metadata server"
  },
  {
   "first": "fd0000c10000000000000000a9fea9fe",
   "last": "fd0000c10000000000000000a9fea9fe",
   "owner": "Oracle Cloud's instance metadata service"
  },
  {
   "first": "fd00a9fea9fe00000000000000000001",
   "last": "fd00a9fea9fe00000000000000000001",
   "owner": "Akamai's instance metadata service"
  },
  {
   "first": "fd000042000000000000000000000042",
   "last": "fd000042000000000000000000000042",
   "owner": "Scaleway's instance metadata service"
  },
  {
   "first": "00000000000000000000000000000000",
   "last": "00000000000000000000000000000000",
   "owner": "\"no address\""
  },
  {
   "first": "00000000000000000000000000000001",
   "last": "00000000000000000000000000000001",
   "owner": "loopback: every pod has its own"
  },
  {
   "first": "00000000000000000000ffff00000000",
   "last": "00000000000000000000ffffffffffff",
   "owner": "IPv4 addresses in IPv6 sockets (write the IPv4 address itself)"
  },
  {
   "first": "0064ff9b000000000000000000000000",
   "last": "0064ff9b0000000000000000ffffffff",
   "owner": "NAT64"
  },
  {
   "first": "00000000000000000000000000000000",
   "last": "00ffffffffffffffffffffffffffffff",
   "owner": "the IETF"
  },
  {
   "first": "fe800000000000000000000000000000",
   "last": "febfffffffffffffffffffffffffffff",
   "owner": "link-local traffic, which needs a zone and is never forwarded"
  },
  {
   "first": "fec00000000000000000000000000000",
   "last": "feffffffffffffffffffffffffffffff",
   "owner": "site-local addresses, which RFC 3879 gave up"
  },
  {
   "first": "fc000000000000000000000000000000",
   "last": "fcffffffffffffffffffffffffffffff",
   "owner": "the half of the unique local addresses that RFC 4193 leaves undefined"
  },
  {
   "first": "ff000000000000000000000000000000",
   "last": "ffffffffffffffffffffffffffffffff",
   "owner": "multicast"
  }
 ],
 "notPublic": [
  {
   "first": "0a000000",
   "last": "0affffff"
  },
  {
   "first": "64400000",
   "last": "647fffff"
  },
  {
   "first": "a9fe0000",
   "last": "a9feffff"
  },
  {
   "first": "ac100000",
   "last": "ac1fffff"
  },
  {
   "first": "c0000000",
   "last": "c00000ff"
  },
  {
   "first": "c0000200",
   "last": "c00002ff"
  },
  {
   "first": "c0a80000",
   "last": "c0a8ffff"
  },
  {
   "first": "c6120000",
   "last": "c613ffff"
  },
  {
   "first": "c6336400",
   "last": "c63364ff"
  },
  {
   "first": "cb007100",
   "last": "cb0071ff"
  },
  {
   "first": "20010000000000000000000000000000",
   "last": "200101ffffffffffffffffffffffffff"
  },
  {
   "first": "20010db8000000000000000000000000",
   "last": "20010db8ffffffffffffffffffffffff"
  },
  {
   "first": "3fff0000000000000000000000000000",
   "last": "3fff0fffffffffffffffffffffffffff"
  }
 ],
 "globalIpv6": [
  {
   "first": "20000000000000000000000000000000",
   "last": "3fffffffffffffffffffffffffffffff"
  }
 ],
 "usualServices": [
  {
   "first": "0a600000",
   "last": "0a6fffff",
   "text": "10.96.0.0/12 of kubeadm and kind"
  },
  {
   "first": "0a2b0000",
   "last": "0a2bffff",
   "text": "10.43.0.0/16 of k3s and RKE2"
  },
  {
   "first": "0a640000",
   "last": "0a64ffff",
   "text": "10.100.0.0/16 of EKS"
  },
  {
   "first": "ac140000",
   "last": "ac14ffff",
   "text": "172.20.0.0/16 of EKS"
  },
  {
   "first": "0a000000",
   "last": "0a00ffff",
   "text": "10.0.0.0/16 of AKS"
  },
  {
   "first": "2276e000",
   "last": "2276efff",
   "text": "34.118.224.0/20 of GKE"
  },
  {
   "first": "ac1e0000",
   "last": "ac1effff",
   "text": "172.30.0.0/16 of OpenShift"
  },
  {
   "first": "0ae90000",
   "last": "0ae93fff",
   "text": "10.233.0.0/18 of kubespray"
  },
  {
   "first": "0a98b700",
   "last": "0a98b7ff",
   "text": "10.152.183.0/24 of MicroK8s"
  },
  {
   "first": "fd000010009600000000000000000000",
   "last": "fd00001000960000000000000000ffff",
   "text": "fd00:10:96::/112 of kind"
  },
  {
   "first": "2001cafe004300000000000000000000",
   "last": "2001cafe00430000000000000000ffff",
   "text": "2001:cafe:43::/112 of k3s and RKE2"
  }
 ]
}
{{- end -}}
