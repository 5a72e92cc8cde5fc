"""A server on this machine that speaks as much of Elasticsearch's and OpenSearch's REST protocols as LangChain needs.

It keeps its indices in memory, compares exactly, and scores, filters, pages and refuses as the real servers do.
"""

from __future__ import annotations

import json
import math
import re
import threading
import traceback
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

Json = dict[str, Any]
Scores = dict[str, float]

COMPATIBLE = re.compile(r"application/vnd\.elasticsearch\+x?-?(?:nd)?json\s*;\s*compatible-with=(\d+)")
SCRIPTS = {
    r"cosineSimilarity\(params\.query_vector, '(?P<field>\w+)'\) \+ 1\.0": "cosine",
    r"1 / \(1 \+ l2norm\(params\.query_vector, '(?P<field>\w+)'\)\)": "l2",
    r"double value = dotProduct\(params\.query_vector, '(?P<field>\w+)'\);\s*"
    r"return sigmoid\(1, Math\.E, -value\);": "dot",
}
"""Painless scripts of Elasticsearch's client that compile, with what they compute."""


class Refused(Exception):  # noqa: N818 (it is an answer)
    """A request that the server answers with an error."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.kind, self.reason = status, kind, reason

    @property
    def body(self) -> Json:
        cause = {"type": self.kind, "reason": self.reason}
        return {"error": {"root_cause": [cause], **cause}, "status": self.status}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def of_inner(product: float) -> float:
    return product + 1 if product > 0 else 1 / (1 - product)


def squared(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one - other) ** 2).sum())


SIMILARITIES = {
    "cosine": lambda one, other: (1 + cosine(one, other)) / 2,
    "dot_product": lambda one, other: (1 + float(one @ other)) / 2,
    "l2_norm": lambda one, other: 1 / (1 + squared(one, other)),
    "max_inner_product": lambda one, other: of_inner(float(one @ other)),
}
SPACES = {
    "cosinesimil": SIMILARITIES["cosine"],
    "l2": SIMILARITIES["l2_norm"],
    "innerproduct": SIMILARITIES["max_inner_product"],
    "l1": lambda one, other: 1 / (1 + float(np.abs(one - other).sum())),
}
SCRIPTED = {
    "cosine": lambda one, other: cosine(one, other) + 1,
    "l2": lambda one, other: 1 / (1 + squared(one, other) ** 0.5),
    "dot": lambda one, other: 1 / (1 + math.exp(-float(one @ other))),
}


def words(text: Any) -> list[str]:
    """What the standard analyser makes of a text."""
    return re.findall(r"\w+", str(text).lower())


class Index:
    """Documents under a mapping. What is written is found after a refresh."""

    def __init__(self, name: str, body: Json, server: SearchServer) -> None:
        self.name, self.server = name, server
        self.settings: Json = body.get("settings", {})
        self.properties: Json = dict(body.get("mappings", {}).get("properties", {}))
        self.written: dict[str, Json] = {}
        self.docs: dict[str, Json] = {}
        for name, field in self.properties.items():
            self._check(name, field)
        self.hides_vectors = server.kind == "elasticsearch" and server.release >= (9, 2)

    def _check(self, name: str, field: Json) -> None:
        """Fill in a vector field's defaults as the server's own mapping shows them, or refuse it."""
        if field.get("type") == "dense_vector" and field.get("index", True):
            field.setdefault("index", True)
            field.setdefault("similarity", "cosine")
        if field.get("type") == "knn_vector" and "method" in field:
            engine, space = field["method"].get("engine", "faiss"), field["method"].get("space_type", "l2")
            if engine == "nmslib" and self.server.release >= (3, 0):
                reason = "nmslib engine is deprecated in OpenSearch and cannot be used for new index creation"
                raise Refused(400, "mapper_parsing_exception", f"Failed to parse mapping [_doc]: {reason}")
            if engine == "faiss" and space == "cosinesimil" and self.server.release < (2, 19):
                raise Refused(400, "mapper_parsing_exception", "Validation Failed: 1: [cosinesimil] not supported;")

    def mapping(self) -> Json:
        return {"mappings": {"properties": self.properties}}

    def vectors(self) -> list[str]:
        return [name for name, field in self.properties.items() if field.get("type") in ("dense_vector", "knn_vector")]

    def write(self, key: str, source: Json) -> None:
        for name, value in source.items():
            field = self.properties.setdefault(name, dynamic(value))
            if name in self.vectors():
                self.checked(name, value, "mapper_parsing_exception")
            elif isinstance(value, dict):
                for inner, held in value.items():
                    field.setdefault("properties", {}).setdefault(inner, dynamic(held))
        self.written[key] = source

    def checked(self, name: str, vector: Any, kind: str) -> np.ndarray:
        """A vector that the field takes, in its precision."""
        field = self.properties[name]
        array = np.array(vector, dtype=np.float32)
        dims = field.setdefault("dims" if field["type"] == "dense_vector" else "dimension", len(array))
        if len(array) != dims:
            raise Refused(400, kind, f"the vector has a different dimension [{len(array)}] than the field's [{dims}]")
        if field.get("similarity") == "dot_product" and abs(float(array @ array) - 1) > 1e-4:
            reason = "The [dot_product] similarity can only be used with unit-length vectors."
            raise Refused(400, kind, reason)
        if "cosine" in str(field) and not array.any():
            raise Refused(400, kind, "The [cosine] similarity does not support vectors with zero magnitude.")
        return array

    def value(self, key: str, path: str) -> Any:
        """What a document holds under a path with dots."""
        found: Any = self.docs[key]
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def typed(self, path: str) -> str:
        properties, field = self.properties, {"type": ""}
        for part in path.split("."):
            field = properties.get(part, {"type": ""})
            properties = field.get("properties", {})
        return field.get("type", "object")

    def nearest(self, name: str, vector: Any, k: int, allowed: set[str] | None) -> Scores:
        """The ``k`` nearest documents, of those allowed."""
        field = self.properties.get(name)
        if field is None or name not in self.vectors():
            raise Refused(400, "query_shard_exception", f"failed to create query: field [{name}] does not exist")
        query = self.checked(name, vector, "illegal_argument_exception")
        keys = [key for key in self.docs if self.docs[key].get(name) and (allowed is None or key in allowed)]
        scores = {key: self._score(field, query, np.array(self.docs[key][name], dtype=np.float32)) for key in keys}
        return dict(sorted(scores.items(), key=lambda pair: -pair[1])[:k])

    def _score(self, field: Json, query: np.ndarray, vector: np.ndarray) -> float:
        if field["type"] == "dense_vector":
            if not field.get("index"):
                raise Refused(400, "illegal_argument_exception", "to perform knn search on field, it must be indexed")
            return SIMILARITIES[field["similarity"]](query, vector)
        method = self.server.models.get(field.get("model_id", ""), field.get("method") or {})
        space = method.get("space_type") or field.get("space_type") or "l2"
        if space == "cosinesimil" and method.get("engine") == "nmslib" and self.server.release < (2, 19):
            return 1 / (2 - cosine(query, vector))
        return SPACES[space](query, vector)

    def match(self, field: str, text: str) -> Scores:
        """BM25."""
        held = {key: words(self.docs[key].get(field, "")) for key in self.docs}
        mean = sum(map(len, held.values())) / max(1, len(held))
        scores: Counter[str] = Counter()
        for word in words(text):
            having = [key for key in held if word in held[key]]
            weight = math.log(1 + (len(held) - len(having) + 0.5) / (len(having) + 0.5))
            for key in having:
                times, length = held[key].count(word), len(held[key])
                scores[key] += weight * times / (times + 1.2 * (0.25 + 0.75 * length / mean))
        return dict(scores)

    def query(self, asked: Json) -> Scores:
        """The documents that a query finds, with their scores."""
        ((kind, body),) = asked.items()
        handler = getattr(self, f"_query_{kind}", None)
        if handler is None:
            raise Refused(400, "parsing_exception", f"unknown query [{kind}]")
        return handler(body)

    def _query_match_all(self, body: Json) -> Scores:
        return dict.fromkeys(self.docs, 1.0)

    def _query_match(self, body: Json) -> Scores:
        ((field, asked),) = body.items()
        return self.match(field, asked["query"] if isinstance(asked, dict) else asked)

    def _query_exists(self, body: Json) -> Scores:
        return {key: 1.0 for key in self.docs if self.value(key, body["field"]) not in (None, [])}

    def _query_term(self, body: Json) -> Scores:
        ((path, asked),) = body.items()
        wanted = asked["value"] if isinstance(asked, dict) else asked
        whole = path.removesuffix(".keyword")
        if self.typed(whole) == "text" and whole == path:  # analysed: a term is one word of it
            return {key: 1.0 for key in self.docs if wanted in words(self.value(key, path) or "")}
        return {key: 1.0 for key in self.docs if self.value(key, whole) == wanted}

    def _query_bool(self, body: Json) -> Scores:
        def clauses(name: str) -> list[Scores]:
            found = body.get(name) or []
            return [self.query(clause) for clause in (found if isinstance(found, list) else [found])]

        must, filters, should = clauses("must"), clauses("filter"), clauses("should")
        keys = set(self.docs).intersection(*must, *filters)
        if should and not (must or filters):
            keys &= set().union(*should)
        return {key: sum(scores.get(key, 0.0) for scores in must + should) for key in self.docs if key in keys}

    def _query_script_score(self, body: Json) -> Scores:
        keys, script = self.query(body["query"]), body["script"]
        params = script["params"]
        if script.get("lang") == "knn":
            field, score, query = params["field"], SPACES[params["space_type"]], params["query_value"]
        else:
            known = ((re.fullmatch(pattern, script["source"].strip()), name) for pattern, name in SCRIPTS.items())
            found = next(((match, name) for match, name in known if match), None)
            if found is None:
                raise Refused(400, "script_exception", "compile error")
            field, score, query = found[0]["field"], SCRIPTED[found[1]], params["query_vector"]
        array = self.checked(field, query, "illegal_argument_exception")
        return {key: score(array, np.array(self.docs[key][field], dtype=np.float32)) for key in keys}

    def _query_knn(self, body: Json) -> Scores:
        ((field, asked),) = body.items()
        allowed = set(self.query(asked["filter"])) if asked.get("filter") else None
        return self.nearest(field, asked["vector"], asked["k"], allowed)


def dynamic(value: Any) -> Json:
    """The mapping that a server gives a field that it has not seen before."""
    if isinstance(value, dict):
        return {"properties": {}}
    if isinstance(value, str):
        return {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
    return {"type": {bool: "boolean", int: "long"}.get(type(value), "float")}


class SearchServer:
    """The server; a context manager.

    Args:
        kind: Which protocol it speaks.
        version: The version it tells, on which what it does depends.

    Attributes:
        url: Where it listens.
        requests: Methods and paths of what it was asked.
        open_views: Points in time and scrolls that nobody has closed, by id: the documents and where it is.
        models: Trained models of the k-NN plugin, by id.
    """

    def __init__(self, kind: Literal["elasticsearch", "opensearch"] = "elasticsearch", version: str = "8.19.3") -> None:
        self.kind, self.version = kind, version
        self.release = tuple(map(int, version.split(".")[:2]))
        self.indices: dict[str, Index] = {}
        self.requests: list[tuple[str, str]] = []
        self.open_views: dict[str, Any] = {}
        self.models: dict[str, Json] = {}
        self.pipelines: Json = {}
        self._numbers, self._lock = count(), threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> SearchServer:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, params: dict[str, str], text: str) -> tuple[int, Json]:
        """The status and the body of the answer to a request."""
        with self._lock:
            self.requests.append((method, path))
            parts = [unquote(part) for part in path.split("/") if part]
            bulk = parts[-1:] == ["_bulk"]
            body = {} if bulk or not text else json.loads(text)
            if not parts:
                return 200, self._info()
            if bulk:
                return 200, self._bulk(text, params, parts[0] if len(parts) == 2 else None)
            named = {
                "_pit": self._pit,
                "_search": self._search,
                "_mapping": lambda *_: (200, {name: index.mapping() for name, index in self._all(parts).items()}),
                "_refresh": lambda *_: (200, self._refreshed(parts)),
                "_count": lambda *_: (200, {"count": len(self._index(parts[0]).docs)}),
            }
            if parts[:2] == ["_search", "scroll"]:
                return self._scroll(method, body)
            if parts[:2] == ["_search", "pipeline"]:
                return self._pipeline(method, parts, body)
            if parts[:3] == ["_plugins", "_knn", "models"]:
                return 200, self.models[parts[3]]
            if parts[1:2] == ["_doc"]:
                return self._doc(parts, params, body)
            if parts[-1] in named:
                return named[parts[-1]](method, parts, params, body)
            return self._whole(method, parts[0], body)

    def _info(self) -> Json:
        version = {"number": self.version, "lucene_version": "9.12.0"}
        version |= {"distribution": "opensearch"} if self.kind == "opensearch" else {"build_flavor": "default"}
        return {"name": "node", "cluster_name": "cluster", "version": version, "tagline": "..."}

    def _index(self, name: str) -> Index:
        if name not in self.indices:
            raise Refused(404, "index_not_found_exception", f"no such index [{name}]")
        return self.indices[name]

    def _all(self, parts: list[str]) -> dict[str, Index]:
        return {parts[0]: self._index(parts[0])}

    def _whole(self, method: str, name: str, body: Json) -> tuple[int, Json]:
        """An index: made, looked at, deleted."""
        if method == "PUT":
            if name in self.indices:
                raise Refused(400, "resource_already_exists_exception", f"index [{name}] already exists")
            self.indices[name] = Index(name, body, self)
            return 200, {"acknowledged": True, "shards_acknowledged": True, "index": name}
        index = self._index(name)
        if method == "DELETE":
            del self.indices[name]
            return 200, {"acknowledged": True}
        return 200, {name: {"aliases": {}, **index.mapping(), "settings": index.settings}}

    def _refreshed(self, parts: list[str]) -> Json:
        index = self._index(parts[0])
        index.docs = dict(index.written)
        return {"_shards": {"total": 1, "successful": 1, "failed": 0}}

    def _bulk(self, text: str, params: dict[str, str], default: str | None) -> Json:
        lines, items, touched = iter(text.splitlines()), [], set()
        for line in lines:
            ((action, about),) = json.loads(line).items()
            name, key = about.get("_index", default), about.get("_id") or f"auto-{next(self._numbers)}"
            item = {"_index": name, "_id": key}
            touched.add(name)
            try:
                if action == "delete":
                    gone = self._index(name).written.pop(key, None)
                    item |= {"status": 200, "result": "deleted"} if gone else {"status": 404, "result": "not_found"}
                else:
                    source = json.loads(next(lines))
                    index = self.indices.setdefault(name, Index(name, {}, self))
                    item |= {"status": 200 if key in index.written else 201, "result": "created"}
                    index.write(key, source)
            except Refused as error:
                item |= {"status": error.status, "error": error.body["error"]}
            items.append({action: item})
        if params.get("refresh", "false") != "false":
            for name in touched & self.indices.keys():
                self._refreshed([name])
        failed = any("error" in item for entry in items for item in entry.values())
        return {"took": 1, "errors": failed, "items": items}

    def _doc(self, parts: list[str], params: dict[str, str], body: Json) -> tuple[int, Json]:
        """One document, written."""
        self._index(parts[0]).write(parts[2], body)
        if params.get("refresh", "false") != "false":
            self._refreshed(parts)
        return 201, {"_index": parts[0], "_id": parts[2], "result": "created", "_version": 1}

    def _pit(self, method: str, parts: list[str], params: dict[str, str], body: Json) -> tuple[int, Json]:
        if method == "DELETE":
            found = self.open_views.pop(body["id"], None)
            return (200 if found else 404), {"succeeded": bool(found), "num_freed": int(bool(found))}
        if "keep_alive" not in params:
            raise Refused(400, "action_request_validation_exception", "[keep_alive] is not specified")
        return 200, {"id": self._view(self._frozen(self._index(parts[0])))}

    def _view(self, held: Any) -> str:
        name = f"view-{next(self._numbers)}"
        self.open_views[name] = held
        return name

    def _frozen(self, index: Index) -> Index:
        """The index as it is now, for whoever goes on reading it."""
        copy = Index(index.name, {"mappings": {"properties": index.properties}}, self)
        copy.docs = dict(index.docs)
        return copy

    def _pipeline(self, method: str, parts: list[str], body: Json) -> tuple[int, Json]:
        if method == "PUT":
            self.pipelines[parts[2]] = body
            return 200, {"acknowledged": True}
        return 200, self.pipelines

    def _scroll(self, method: str, body: Json) -> tuple[int, Json]:
        name = body["scroll_id"]
        if method == "DELETE":
            names = name if isinstance(name, list) else [name]
            freed = [self.open_views.pop(each, None) for each in names]
            return 200, {"succeeded": True, "num_freed": sum(held is not None for held in freed)}
        if name not in self.open_views:
            raise Refused(404, "search_context_missing_exception", f"No search context found for id [{name}]")
        hits, size = self.open_views[name]
        self.open_views[name] = hits[size:], size
        return 200, {"_scroll_id": name, **found_hits(hits[:size])}

    def _search(self, method: str, parts: list[str], params: dict[str, str], body: Json) -> tuple[int, Json]:
        view = body.get("pit", {}).get("id")
        if view is not None:
            if len(parts) > 1:
                raise Refused(400, "action_request_validation_exception", "[indices] cannot be used with point in time")
            if view not in self.open_views:
                raise Refused(404, "search_context_missing_exception", f"No search context found for id [{view}]")
            index = self.open_views.pop(view)
            view = self._view(index)  # ids of points in time may change with each answer
        else:
            index = self._index(parts[0])
        scores, size = self._scores(index, params, body), int(params.get("size", body.get("size", 10)))
        if size > 10_000:
            raise Refused(400, "illegal_argument_exception", "Result window is too large")
        hits = self._hits(index, scores, params, body)
        if "scroll" in params:
            name = self._view((hits[size:], size))
            return 200, {"_scroll_id": name, **found_hits(hits[:size])}
        return 200, {**({"pit_id": view} if view else {}), **found_hits(hits[:size])}

    def _scores(self, index: Index, params: dict[str, str], body: Json) -> Scores:
        """The documents that a search finds."""
        query, retriever = body.get("query"), body.get("retriever")
        if retriever:
            scores = self._rrf(index, retriever["rrf"])
        elif query and "hybrid" in query:
            scores = self._normalised(index, query["hybrid"]["queries"], params.get("search_pipeline"))
        else:
            scores = index.query(query or {"match_all": {}}) if query or "knn" not in body else {}
            for key, score in (self._knn(index, body["knn"]) if "knn" in body else {}).items():
                scores[key] = scores.get(key, 0.0) + score
        if body.get("post_filter"):
            scores = {key: scores[key] for key in scores.keys() & index.query(body["post_filter"]).keys()}
        return {key: score for key, score in scores.items() if score >= (body.get("min_score") or 0.0)}

    def _knn(self, index: Index, asked: Json) -> Scores:
        """Elasticsearch's section of that name."""
        if self.kind != "elasticsearch":
            raise Refused(400, "parsing_exception", "Unknown key for a START_OBJECT in [knn].")
        if asked["num_candidates"] < asked["k"]:
            raise Refused(400, "illegal_argument_exception", "[num_candidates] cannot be less than [k]")
        if "query_vector" not in asked:
            raise Refused(404, "resource_not_found_exception", "No known trained model")
        filters = asked.get("filter") or []
        filters = filters if isinstance(filters, list) else [filters]
        allowed = set(index.query({"bool": {"filter": filters}})) if filters else None
        return index.nearest(asked["field"], asked["query_vector"], asked["k"], allowed)

    def _rrf(self, index: Index, asked: Json) -> Scores:
        """Reciprocal rank fusion."""
        total: Counter[str] = Counter()
        for retriever in asked["retrievers"]:
            ((kind, body),) = retriever.items()
            found = self._knn(index, body) if kind == "knn" else index.query(body["query"])
            ranked = sorted(found, key=lambda key: -found[key])[: asked.get("rank_window_size", 10)]
            for rank, key in enumerate(ranked, start=1):
                total[key] += 1 / (asked.get("rank_constant", 60) + rank)
        return dict(total)

    def _normalised(self, index: Index, queries: list[Json], pipeline: str | None) -> Scores:
        """OpenSearch's hybrid query, through a pipeline that brings scores to one scale."""
        if pipeline not in self.pipelines:
            raise Refused(400, "illegal_argument_exception", f"Pipeline {pipeline} is not defined")
        (processor,) = self.pipelines[pipeline]["phase_results_processors"]
        combination = processor["normalization-processor"]["combination"]
        total: Counter[str] = Counter()
        for query, weight in zip(queries, combination["parameters"]["weights"], strict=True):
            found = index.query(query)
            low, high = min(found.values(), default=0.0), max(found.values(), default=0.0)
            for key, score in found.items():
                total[key] += weight * (1.0 if high == low else max(0.001, (score - low) / (high - low)))
        return dict(total)

    def _hits(self, index: Index, scores: Scores, params: dict[str, str], body: Json) -> list[Json]:
        """What is found as it is answered, in the order asked for."""
        numbers = {key: number for number, key in enumerate(index.docs)}
        sort = json.dumps(body.get("sort", []))
        if "_doc" in sort and "_shard_doc" not in sort and "search_after" in body:
            raise Refused(400, "illegal_argument_exception", "[_doc] is no sort to search after here")
        by_number = "_doc" in sort or "_shard_doc" in sort
        keys = sorted(scores, key=numbers.__getitem__ if by_number else lambda key: (-scores[key], numbers[key]))
        if "search_after" in body:
            keys = [key for key in keys if numbers[key] > body["search_after"][0]]
        hits = []
        for key in keys:
            hit: Json = {"_index": index.name, "_id": key, "_score": None if by_number else float(scores[key])}
            hit["_source"] = self._source(index, index.docs[key], params, body.get("_source"))
            wanted = {name: index.docs[key].get(name) for name in body.get("fields", [])}
            for name in set(index.vectors()) & wanted.keys() if index.hides_vectors else ():
                wanted[name] = np.array(wanted[name], dtype=np.float32).tolist()  # from the index, not from `_source`
            fields = {name: value for name, value in wanted.items() if value is not None}
            if fields:
                hit["fields"] = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
            if by_number:
                hit["sort"] = [numbers[key]]
            hits.append(hit)
        return hits

    def _source(self, index: Index, source: Json, params: dict[str, str], asked: Any) -> Json:
        """The part of a document that is answered."""
        options = asked if isinstance(asked, dict) else {}
        known = {"includes", "include", "excludes", "exclude"}
        known |= {"exclude_vectors"} if self.kind == "elasticsearch" and self.release >= (9, 1) else set()
        for name in options.keys() - known:
            raise Refused(400, "parsing_exception", f"Unknown key for a VALUE_BOOLEAN in [{name}].")
        included = params.get("_source_includes", "").split(",") if "_source_includes" in params else None
        included = included or options.get("includes") or options.get("include")
        excluded = set(options.get("excludes") or options.get("exclude") or [])
        if options.get("exclude_vectors", index.hides_vectors):
            excluded |= set(index.vectors())
        return {
            name: value
            for name, value in source.items()
            if name not in excluded and (included is None or name in included)
        }


def found_hits(hits: list[Json]) -> Json:
    scores = [hit["_score"] for hit in hits if hit["_score"] is not None]
    return {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": len(hits), "relation": "eq"},
            "max_score": max(scores, default=None),
            "hits": hits,
        },
    }


def _handler(server: SearchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: two wait for each other
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            params = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = COMPATIBLE.search(self.headers.get("Accept") or "")
            try:
                sent = COMPATIBLE.search(self.headers.get("Content-Type") or "")
                for header in filter(None, (asked, sent)):
                    if int(header[1]) not in (server.release[0], server.release[0] - 1):
                        reason = f"version must be compatible with {server.release[0]}, but found {header[1]}"
                        raise Refused(400, "media_type_header_exception", reason)
                status, body = server.answer(self.command, parts.path, params, text)
            except Refused as error:
                status, body = error.status, error.body
            except Exception as error:
                status, body = 500, Refused(500, type(error).__name__, traceback.format_exc()).body
            content = json.dumps(body).encode()
            self.send_response(status)
            if server.kind == "elasticsearch":
                self.send_header("X-Elastic-Product", "Elasticsearch")
            compatible = f"application/vnd.elasticsearch+json;compatible-with={asked[1]}" if asked else None
            self.send_header("Content-Type", compatible or "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
