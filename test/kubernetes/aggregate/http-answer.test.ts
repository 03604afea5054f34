import { describe, expect, test } from "bun:test";
import { HttpAnswer } from "../../../src/kubernetes/aggregate/http-answer.ts";

interface Read {
  readonly answer: HttpAnswer;
  readonly status: number;
  readonly body: string;
}

function read(text: string, pieceBytes = text.length): Read {
  let status = 0;
  let body = "";
  const answer = new HttpAnswer((head) => {
    status = head.status;
    return (piece) => {
      body += Buffer.from(piece).toString();
    };
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) answer.push(bytes.subarray(at, at + pieceBytes));
  return { answer, status, body };
}

const SIZED = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED =
  "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "2\r\nhe\r\n003 ; x=1\r\nllo\r\n0\r\ntrailer: x\r\n\r\n";

describe("an answer", () => {
  test.each([1, 2, 3, 7, 1000])("is the same in pieces of %d bytes", (pieceBytes) => {
    for (const text of [SIZED, CHUNKED]) {
      const { answer, status, body } = read(text, pieceBytes);
      expect([status, body, answer.isDone, answer.keepsConnection]).toEqual([200, "hello", true, true]);
    }
  });

  test("ends with the connection where it has no length, and only there", () => {
    const { answer, body } = read("HTTP/1.1 200 OK\r\n\r\nhello");
    expect([body, answer.isDone, answer.endsHere, answer.keepsConnection]).toEqual([
      "hello",
      false,
      true,
      false,
    ]);
    expect(read(SIZED.slice(0, -1)).answer.endsHere).toBe(false);
    expect(read(CHUNKED.slice(0, -2)).answer.endsHere).toBe(false);
  });

  test.each([
    ["says so", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"],
    ["is of HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"],
    ["has more behind its end than was asked for", `${SIZED}HTTP/1.1 200 OK\r\n\r\n`],
    ["has both a length and chunks", CHUNKED.replace("Transfer", "content-length: 1\r\nTransfer")],
  ])("is the last on its connection where it %s", (_, text) => {
    const { answer } = read(text);
    expect([answer.isDone, answer.keepsConnection]).toEqual([true, false]);
  });

  test.each([
    ["another protocol", "SSH-2.0-OpenSSH\r\n\r\n"],
    ["a status that is none", "HTTP/1.1 OK\r\n\r\n"],
    ["a header that is none", "HTTP/1.1 200 OK\r\nno header\r\n\r\n"],
    ["a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"],
    ["an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n"],
    ["a chunk's size that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\n"],
    [
      "a chunk that is longer than it says",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    ],
    ["a head without end", `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(5000)}`],
    ["heads before the answer without end", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(1000)],
    ["a line without end", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}`],
    ["chunks' trailers without end", `${CHUNKED.slice(0, -2)}${"x: y\r\n".repeat(5000)}`],
  ])("is refused for %s", (_, text) => {
    expect(() => read(text)).toThrow("its answer is not HTTP");
  });
});
