"""Change of format on the build box: pickles to safetensors, encoders to ONNX, in a child process.

`run` is the door. The builder itself never imports torch: `child` starts an interpreter that has it
(`interpreter` finds one) on `worker`, and everything that imports torch, onnx or transformers is imported
by the worker alone: `checkpoint`, `tensorfile`, `pickles`, `encoder`, `reference`, `graph`,
`quantise`, `quality`, `onnx_job`.
"""
