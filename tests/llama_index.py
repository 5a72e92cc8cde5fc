"""Stands in for LlamaIndex (finetuning 0.4.2): takes what its functions take, writes the files that they write."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import torch


def old_library() -> dict[str, ModuleType]:
    """Stands in for LlamaIndex (finetuning 0.4.2): takes what its functions take, writes the files that they write."""

    class EmbeddingQAFinetuneDataset:
        @classmethod
        def from_json(cls, path: str) -> EmbeddingQAFinetuneDataset:
            json.loads(Path(path).read_text())
            return cls()

    def generate_qa_embedding_pairs(
        nodes,
        llm,
        qa_generate_prompt_tmpl="{context_str} {num_questions_per_chunk}",
        num_questions_per_chunk=2,
        retry_limit=3,
        on_failure="continue",
        save_every=500,
        output_path="qa_finetune_dataset.json",
        verbose=True,
    ):
        content = {
            "queries": {f"q{row}": f"what is number {row}?" for row in range(len(nodes))},
            "corpus": {node.id: node.page_content for node in nodes},
            "relevant_docs": {f"q{row}": [node.id] for row, node in enumerate(nodes)},
            "mode": "text",
        }
        Path(output_path).write_text(json.dumps(content))
        return EmbeddingQAFinetuneDataset()

    class EmbeddingAdapterFinetuneEngine:
        def __init__(
            self,
            dataset,
            embed_model,
            batch_size=10,
            epochs=1,
            adapter_model=None,
            dim=None,
            device=None,
            model_output_path="model_output",
            model_checkpoint_path=None,
            checkpoint_save_steps=100,
            verbose=False,
            bias=False,
            **train_kwargs,
        ):
            self.embed_model, self.folder, self.bias = embed_model, Path(model_output_path), bias

        def finetune(self, **train_kwargs):
            self.folder.mkdir()
            size = len(self.embed_model.embed_query("hello world"))
            options = {"in_features": size, "out_features": size, "bias": self.bias}
            (self.folder / "config.json").write_text(json.dumps(options))
            torch.save({"linear.weight": torch.eye(size)}, self.folder / "pytorch_model.bin")

        def get_finetuned_model(self, **model_kwargs):
            return AdapterEmbeddingModel(self.embed_model, str(self.folder))

    class AdapterEmbeddingModel:
        def __init__(self, base_embed_model, adapter_path, adapter_cls=None, transform_query=True, device=None):
            assert (Path(adapter_path) / "pytorch_model.bin").is_file()
            self.base = base_embed_model

        def get_query_embedding(self, query):
            return self.base.embed_query(query)

    made = {
        "llama_index.finetuning": [
            EmbeddingQAFinetuneDataset,
            generate_qa_embedding_pairs,
            EmbeddingAdapterFinetuneEngine,
        ],
        "llama_index.embeddings.adapter": [AdapterEmbeddingModel],
    }
    modules = {name: ModuleType(name) for name in ("llama_index", "llama_index.embeddings", *made)}
    for name, content in made.items():
        vars(modules[name]).update({each.__name__: each for each in content})
    return modules
