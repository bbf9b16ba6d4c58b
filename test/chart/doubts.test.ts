import { expect, it } from "vitest";
import { doubts } from "../../component/doubts.ts";
import { renderNotes } from "./render.ts";

const notesOf = (...ips: string[]) =>
  renderNotes({ values: { addresses: ips.map((ipAddress) => ({ ipAddress, selector: "a=b" })) } });

const doubted = (notes: string): string[] => {
  const [, lines = ""] = /\n\nNot refused, but doubtful:\n(.*?)\n\n1\. /s.exec(notes) ?? [];
  return lines.split("\n").map((line) => line.trim());
};

it("the notes name doubtful addresses in the component's words", async () => {
  const ips = [
    ...[
      "8.8.8.8",
      "9.255.255.255",
      "11.0.0.0",
      "100.63.255.255",
      "100.128.0.0",
      "192.169.0.0",
      "2600::1",
      "2001:200::1",
    ],
    ...["10.96.3.4", "10.111.255.255", "34.118.224.1", "172.20.0.1", "FD00:10:96::1", "2001:CAFE:43::1"],
    ...[
      "169.254.210.210",
      "fd00:210::210",
      "192.168.1.1",
      "100.64.0.1",
      "2001:db8::1",
      "2001::1",
      "10.112.0.0",
    ],
  ];
  const expected = doubts({ addresses: ips.map((ipAddress) => ({ ipAddress })) });
  expect(expected.length).toBeGreaterThan(13);
  expect(doubted(await notesOf(...ips))).toEqual(expected.map(({ path, reason }) => `${path}: ${reason}`));
});

it("the notes say nothing of doubts where there are none", async () => {
  const notes = await notesOf("169.254.210.210", "fd00:210::210");
  expect(notes).not.toContain("doubtful");
  expect(notes).toContain("caller's node\n\n1. Wait");
});
